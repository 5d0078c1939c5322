/**
 * @typedef {object} Line figures of one stream over the last interval
 * @property {string} id stable while the stream lives
 * @property {"out"|"in"} direction
 * @property {"audio"|"video"} media
 * @property {string} source `audio`, `video`, `screen`, or an inbound stream key
 * @property {number} bitrate bit/s
 * @property {number} loss share of packets lost, 0..1
 * @property {number} [width] pixels
 * @property {number} [height] pixels
 * @property {number} [frameRate] frames/s
 * @property {number} packets since the stream began
 * @property {number} [frames] decoded or encoded since the stream began
 * @property {number} [energy] audio energy since the stream began
 *
 * @typedef {object} Figures
 * @property {Line[]} lines
 * @property {number} [roundTrip] seconds
 */

/** Turns getStats reports into rates. Keeps the last counters of each stream. */
export class Meter {
  #before = new Map();

  /**
   * @param {Map<string, RTCPeerConnection|null>} connections by name
   * @param {Map<string, MediaStream>} streams inbound, by stream key
   * @returns {Promise<Figures>}
   */
  async read(connections, streams) {
    const lines = [];
    const counters = new Map();
    let roundTrip;
    for (const [name, pc] of connections) {
      if (!pc || pc.connectionState === "closed") continue;
      const report = await pc.getStats();
      for (const each of report.values()) {
        if (each.type === "candidate-pair" && each.nominated) {
          roundTrip = Math.max(roundTrip ?? 0, each.currentRoundTripTime ?? 0);
        }
        const line = this.#line(each, report, name, streams, counters);
        if (line) lines.push(line);
      }
    }
    this.#before = counters;
    return { lines, roundTrip };
  }

  #line(entry, report, name, streams, counters) {
    const out = entry.type === "outbound-rtp";
    if (!out && entry.type !== "inbound-rtp") return null;
    if (entry.kind === "video" && entry.mid === undefined) return null;
    const id = `${name} ${entry.id}`;
    const now = counted(entry, out, report.get(entry.remoteId));
    counters.set(id, now);
    return {
      id,
      direction: out ? "out" : "in",
      media: entry.kind,
      source: name === "inbound" ? keyOf(entry, streams) : name,
      ...rates(this.#before.get(id) ?? now, now),
      width: entry.frameWidth,
      height: entry.frameHeight,
      frameRate: entry.framesPerSecond,
      packets: now.packets,
      frames: out ? entry.framesEncoded : entry.framesDecoded,
      energy: entry.totalAudioEnergy,
    };
  }
}

/** What we sent is lost according to the other side's reports; what we received, by our own count. */
function counted(entry, out, remote) {
  return {
    at: entry.timestamp,
    bytes: (out ? entry.bytesSent : entry.bytesReceived) ?? 0,
    packets: (out ? entry.packetsSent : entry.packetsReceived) ?? 0,
    lost: (out ? remote?.packetsLost : entry.packetsLost) ?? 0,
  };
}

function rates(before, now) {
  const seconds = (now.at - before.at) / 1000;
  const lost = Math.max(0, now.lost - before.lost);
  const all = now.packets - before.packets + lost;
  return {
    bitrate: seconds > 0 ? (8 * (now.bytes - before.bytes)) / seconds : 0,
    loss: all > 0 ? Math.min(1, lost / all) : 0,
  };
}

function keyOf(entry, streams) {
  for (const [key, stream] of streams) {
    if (stream.getTracks()[0]?.id === entry.trackIdentifier) return key;
  }
  return "";
}
