import { CONNECT_TIMEOUT, connected, lost, within } from "./publishing.js";
import { sendingSections, sessionIdentity } from "./sdp.js";
import { Sequence, patiently } from "./timing.js";
import { Connection, Unreachable } from "./trouble.js";

/**
 * The peer connection on which everything subscribed arrives. The server makes its offers, one at a time;
 * m-lines are reused, so which picture a track shows is read from each offer's stream ids.
 *
 * Events: `streams` ({@link Watching#streams} or {@link Watching#paused} changed), `state`, `lost` (the
 * connection is beyond hope: subscribe anew).
 */
export class Watching extends Connection {
  #sendAnswer;
  #pc = null;
  #identity = "";
  #sequence = new Sequence();
  #abort = new AbortController();

  /** @param {(sdp: string) => Promise<void>} sendAnswer */
  constructor(sendAnswer) {
    super();
    this.#sendAnswer = sendAnswer;
    /** `<userId>/video` or `<userId>/screen` to its stream. @type {Map<string, MediaStream>} */
    this.streams = new Map();
    /** The keys of those that do not move, because our link does not carry them. @type {Set<string>} */
    this.paused = new Set();
  }

  /** @type {RTCPeerConnection|null} */
  get pc() {
    return this.#pc;
  }

  /** Takes the server's offer and answers it. Offers are handled in the order they come. */
  offer(sdp) {
    const signal = this.#abort.signal;
    return this.#sequence.run(async () => {
      if (signal.aborted) return;
      try {
        await this.#answer(sdp, signal);
      } catch {
        // Whatever went wrong, this connection and the server's idea of it have parted ways.
        if (!signal.aborted) this.#lose();
      }
    });
  }

  /** The server stops sending a picture to us, or goes on. @param {string} key @param {boolean} paused */
  pause(key, paused) {
    if (paused) this.paused.add(key);
    else this.paused.delete(key);
    this.#show(this.streams);
  }

  /** Drops the connection and every stream; the next offer begins a new one. */
  reset() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#pc?.close();
    this.#pc = null;
    this.#identity = "";
    this.become("closed");
    this.#show(new Map());
  }

  /** There is no trouble any more: it is up, or nothing has to come. */
  forgive() {
    this.troubled(null);
  }

  async #answer(sdp, signal) {
    const pc = this.#connectionFor(sdp, signal);
    await pc.setRemoteDescription({ type: "offer", sdp });
    const answer = await pc.createAnswer();
    await pc.setLocalDescription(answer);
    if (signal.aborted) return;
    this.#show(this.#streamsOf(pc, sdp));
    await patiently(() => this.#sendAnswer(answer.sdp), { signal });
  }

  /** The offer of a new session needs a new connection; within a session, offers change the one there is. */
  #connectionFor(sdp, signal) {
    const identity = sessionIdentity(sdp);
    if (this.#pc && this.#identity === identity) return this.#pc;
    this.#pc?.close();
    this.#identity = identity;
    this.#pc = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.paused.clear();
    this.begin();
    this.#watch(this.#pc, signal);
    return this.#pc;
  }

  async #watch(pc, signal) {
    try {
      await within(connected(pc), CONNECT_TIMEOUT, signal, new Unreachable(pc));
      if (this.#pc === pc) this.become("connected");
      this.forgive();
      await lost(pc, signal, (disturbed) => this.troubled(disturbed ? new Unreachable(pc) : null));
    } catch (error) {
      // Not connected in time: same consequence as a connection that was lost.
      if (this.#pc === pc && !signal.aborted) this.troubled(error);
    }
    if (this.#pc === pc && !signal.aborted) this.#lose();
  }

  #lose() {
    this.reset();
    this.dispatchEvent(new CustomEvent("lost"));
  }

  #streamsOf(pc, sdp) {
    const tracks = new Map(pc.getTransceivers().map((each) => [each.mid, each.receiver.track]));
    const streams = new Map();
    for (const { mid, stream } of sendingSections(sdp)) {
      const known = this.streams.get(stream);
      const same = known?.getTracks()[0] === tracks.get(mid);
      streams.set(stream, same ? known : new MediaStream([tracks.get(mid)]));
    }
    return streams;
  }

  #show(streams) {
    this.streams = streams;
    for (const key of this.paused) if (!streams.has(key)) this.paused.delete(key);
    this.dispatchEvent(new CustomEvent("streams"));
  }
}
