import { CONNECT_TIMEOUT, Unreachable, connected, lost, troubleOf, within } from "./publishing.js";
import { sendingSections, sessionIdentity } from "./sdp.js";
import { Sequence, patiently } from "./timing.js";

/**
 * The peer connection on which everything subscribed arrives. The server makes its offers, one at a time;
 * m-lines are reused, so which picture a track shows is read from each offer's stream ids.
 *
 * Events: `streams` ({@link Watching#streams} changed), `state` (so did {@link Watching#state} or its trouble), `lost` (the connection is beyond hope:
 * subscribe anew).
 */
export class Watching extends EventTarget {
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
    /** @type {"closed"|"connecting"|"connected"} */
    this.state = "closed";
    /** Why it did not come up. @type {import("./publishing.js").Trouble|null} */
    this.trouble = null;
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

  /** Drops the connection and every stream; the next offer begins a new one. */
  reset() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#pc?.close();
    this.#pc = null;
    this.#identity = "";
    this.#become("closed");
    this.#show(new Map());
  }

  /** There is no trouble any more: it is up, or nothing has to come. */
  forgive() {
    this.#troubled(null);
  }

  #troubled(error) {
    if (error === this.trouble) return;
    this.trouble = error && troubleOf(error);
    this.dispatchEvent(new CustomEvent("state"));
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
    this.#become("connecting");
    this.#watch(this.#pc, signal);
    return this.#pc;
  }

  async #watch(pc, signal) {
    try {
      await within(connected(pc), CONNECT_TIMEOUT, signal, new Unreachable(pc));
      if (this.#pc === pc) this.#become("connected");
      this.forgive();
      await lost(pc, signal, (disturbed) => this.#troubled(disturbed ? new Unreachable(pc) : null));
    } catch (error) {
      // Not connected in time: same consequence as a connection that was lost.
      if (this.#pc === pc && !signal.aborted) this.#troubled(error);
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
    this.dispatchEvent(new CustomEvent("streams"));
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state"));
  }
}
