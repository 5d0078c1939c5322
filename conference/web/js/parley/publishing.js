import { backoff, pause } from "./timing.js";
import { Connection, Unreachable } from "./trouble.js";

/** How long an offer may wait for its answer, and after it the connection for ICE and DTLS. Milliseconds. */
const ANSWER_TIMEOUT = 8_000;
export const CONNECT_TIMEOUT = 8_000;
/** A connection that is only disturbed often heals by itself; one that stays so is offered anew. */
const DISTURBED_LIMIT = 7_000;
/** A connection that is not up for this long is worth a word to the user. */
const TROUBLE_AFTER = 4_000;

/**
 * One peer connection for which this client makes the offers: audio, camera, or screen.
 *
 * It keeps itself connected until it is closed: an offer that is refused for now, an answer that does not
 * come, ICE that fails or stays disturbed all lead to a new peer connection and a new offer.
 *
 * Events: `state`, `refused` (detail: the ApiError; the server will not have this offer, and it is not repeated).
 */
export class Publishing extends Connection {
  #build;
  #send;
  #pc = null;
  #abort = null;
  #answered = () => {};

  /**
   * @param {object} options
   * @param {(pc: RTCPeerConnection) => void} options.build adds the transceivers to a fresh connection
   * @param {(sdp: string) => Promise<void>} options.send delivers the offer to the server
   */
  constructor({ build, send }) {
    super();
    this.#build = build;
    this.#send = send;
  }

  /** The current peer connection, for statistics. @type {RTCPeerConnection|null} */
  get pc() {
    return this.#pc;
  }

  /** Begins to connect, or begins anew with a fresh peer connection and a fresh offer. */
  open() {
    this.#drop();
    this.#abort = new AbortController();
    this.#keepConnected(this.#abort.signal);
  }

  /** The server's answer, from its event. */
  answer(sdp) {
    this.#answered(sdp);
  }

  close() {
    this.#drop();
    this.become("closed");
    this.troubled(null);
  }

  async #keepConnected(signal) {
    let since = performance.now();
    for (let failures = 0; !signal.aborted; failures++) {
      this.begin();
      try {
        await this.#connect(signal);
        if (signal.aborted) return;
        this.become("connected");
        this.troubled(null);
        failures = -1;
        const pc = this.#pc;
        await lost(pc, signal, (disturbed) => this.troubled(disturbed ? new Unreachable(pc) : null));
        since = performance.now();
      } catch (error) {
        if (signal.aborted) return;
        if (error.status && !mayPass(error)) return this.#refuse(error);
        if (performance.now() - since > TROUBLE_AFTER) this.troubled(error);
      }
      await pause(backoff(Math.max(0, failures)), signal);
    }
  }

  async #connect(signal) {
    this.#pc?.close();
    const pc = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.#pc = pc;
    this.#build(pc);
    const answer = new Promise((resolve) => (this.#answered = resolve));
    const offer = await pc.createOffer();
    await pc.setLocalDescription(offer);
    await this.#send(offer.sdp);
    const sdp = await within(answer, ANSWER_TIMEOUT, signal, new Error("no answer came"));
    await pc.setRemoteDescription({ type: "answer", sdp });
    await within(connected(pc), CONNECT_TIMEOUT, signal, new Unreachable(pc));
  }

  #refuse(error) {
    this.close();
    this.dispatchEvent(new CustomEvent("refused", { detail: error }));
  }

  #drop() {
    this.#abort?.abort();
    this.#pc?.close();
    this.#pc = null;
  }
}

/** 424: no session at the media side, or it is moving; 404: not a participant, until rejoined. */
export function mayPass(error) {
  return error.transient || error.status === 424 || error.status === 404;
}

/** Resolves once ICE and DTLS are up; rejects when they fail. */
export function connected(pc) {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (pc.connectionState === "connected") resolve();
      if (["failed", "closed"].includes(pc.connectionState)) reject(new Unreachable(pc));
    };
    pc.addEventListener("connectionstatechange", check);
    check();
  });
}

/**
 * Resolves when a connection that was up is beyond hope, or the signal aborts.
 * @param {(disturbed: boolean) => void} [tell] called when it has been disturbed for a while, and when it is well again
 */
export function lost(pc, signal, tell = () => {}) {
  return new Promise((resolve) => {
    let timer;
    let telling;
    const check = () => {
      clearTimeout(timer);
      clearTimeout(telling);
      if (["failed", "closed"].includes(pc.connectionState)) return resolve();
      if (pc.connectionState === "connected") tell(false);
      if (pc.connectionState !== "disconnected") return;
      telling = setTimeout(() => tell(true), TROUBLE_AFTER);
      timer = setTimeout(resolve, DISTURBED_LIMIT);
    };
    pc.addEventListener("connectionstatechange", check);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      clearTimeout(telling);
      resolve();
    });
    check();
  });
}

/** The promise's value, or `complaint` when it takes longer than `ms`, or an error when the signal aborts. */
export function within(promise, ms, signal, complaint) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(complaint), ms);
    signal.addEventListener("abort", () => reject(new Error("given up")), { once: true });
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
