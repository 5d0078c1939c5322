/** The few things that the client reads out of a session description. */

/**
 * The name of one forwarded video, which is also its stream id in SDP.
 * @param {string} userId @param {"video"|"screen"} type
 */
export function streamKey(userId, type) {
  return `${userId}/${type}`;
}

/**
 * @typedef {{mid: string, stream: string}} Section one m-line that the other side sends on
 */

/**
 * The m-lines of a description on which its author sends, with their stream ids (RFC 8830).
 * @param {string} sdp
 * @returns {Section[]}
 */
export function sendingSections(sdp) {
  return sdp
    .split(/^m=/m)
    .slice(1)
    .filter((section) => /^a=(sendonly|sendrecv)\s*$/m.test(section) && !/^\S+ 0 /.test(section))
    .map((section) => ({
      mid: attribute(section, "mid"),
      stream: attribute(section, "msid").split(" ")[0],
    }));
}

/**
 * Where the author of a description says that media may be sent, as `address port`, each once.
 * @param {string} sdp
 * @returns {string[]}
 */
export function candidatesOf(sdp) {
  const found = sdp.matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) (\d+)/gm);
  return [...new Set([...found].map(([, address, port]) => `${address} ${port}`))];
}

/**
 * What distinguishes one session of the other side from its successor: the session's id (RFC 8866, 5.2) and
 * the certificate. An ICE restart changes neither.
 * @param {string} sdp
 */
export function sessionIdentity(sdp) {
  const [, id] = sdp.match(/^o=\S+ (\d+)/m) ?? [];
  return `${id} ${attribute(sdp, "fingerprint")}`;
}

function attribute(text, name) {
  return text.match(new RegExp(`^a=${name}:(.*?)\\s*$`, "m"))?.[1] ?? "";
}
