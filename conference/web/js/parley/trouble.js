import { candidatesOf } from "./sdp.js";

/**
 * @typedef {object} Trouble why a connection does not come up
 * @property {"unreachable"|"unanswered"|"refused"} kind `unreachable`: no packet comes through to the media
 *   server; `unanswered`: the server does not answer our offer; `refused`: it says that it can't, see `message`
 * @property {string[]} addresses where the media server says that it is, as `address port`
 * @property {string} message
 * @property {string} reason the `reason` of the server's MEETING_CONNECTION_LOST; empty if it sent none
 */

/** A connection that was negotiated and did not come up in time, or failed. */
export class Unreachable extends Error {
  kind = "unreachable";

  /** @param {RTCPeerConnection|null} pc */
  constructor(pc, message = "the media server cannot be reached", reason = "") {
    super(message);
    this.addresses = candidatesOf(pc?.remoteDescription?.sdp ?? "");
    this.reason = reason;
  }
}

/** What the server says only of a connection that can't come up, so that nothing but it can be meant. */
const NEVER_UP = new Set(["unreachable", "handshake_unfinished", "handshake_refused", "wrong_certificate"]);

/**
 * What the connections that we offer and the one that the server offers have in common: a state, and the
 * reason why it is not up. What the server says of that counts for more than what we see of it.
 *
 * Events: `state` (state or trouble changed).
 */
export class Connection extends EventTarget {
  #told = null;

  constructor() {
    super();
    /** @type {"closed"|"connecting"|"connected"} */
    this.state = "closed";
    /** Why it is not up, once that has lasted. @type {Trouble|null} */
    this.trouble = null;
  }

  /** Takes the server's word that the connection ended or can't come up. */
  heed({ reason, message }) {
    this.#told = new Unreachable(this.pc, message, reason);
    if (this.trouble || (this.state === "connecting" && NEVER_UP.has(reason))) this.troubled(this.#told);
  }

  /** A peer connection of which the server has said nothing yet takes the former one's place. */
  begin() {
    this.#told = null;
    this.become("connecting");
  }

  /** @param {Error|null} error what we see; null: there is no trouble any more */
  troubled(error) {
    if (error === this.trouble) return;
    this.trouble = error && troubleOf(error instanceof Unreachable ? (this.#told ?? error) : error);
    this.#emit();
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#emit();
  }

  #emit() {
    this.dispatchEvent(new CustomEvent("state"));
  }
}

/** @returns {Trouble} */
function troubleOf({ kind, status, addresses = [], message, reason = "" }) {
  return { kind: kind ?? (status ? "refused" : "unanswered"), addresses, message, reason };
}
