import { backoff, pause } from "./timing.js";

/** How long an offer may wait for its answer, and after it the connection for ICE and DTLS. Milliseconds. */
const ANSWER_TIMEOUT = 8_000;
const CONNECT_TIMEOUT = 8_000;
/** A connection that is only disturbed often heals by itself; one that stays so is offered anew. */
const DISTURBED_LIMIT = 7_000;

/**
 * One peer connection for which this client makes the offers: audio, camera, or screen.
 *
 * It keeps itself connected until it is closed: an offer that is refused for now, an answer that does not
 * come, ICE that fails or stays disturbed all lead to a new peer connection and a new offer.
 *
 * Events: `state` ({@link Publishing#state} changed), `refused` (detail: the ApiError; the server will not
 * have this offer, and it is not repeated).
 */
export class Publishing extends EventTarget {
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
    /** @type {"closed"|"connecting"|"connected"} */
    this.state = "closed";
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
    this.#become("closed");
  }

  async #keepConnected(signal) {
    for (let failures = 0; !signal.aborted; failures++) {
      this.#become("connecting");
      try {
        await this.#connect(signal);
        if (signal.aborted) return;
        this.#become("connected");
        failures = -1;
        await lost(this.#pc, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error.status && !mayPass(error)) return this.#refuse(error);
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
    const sdp = await within(answer, ANSWER_TIMEOUT, signal, "no answer came");
    await pc.setRemoteDescription({ type: "answer", sdp });
    await within(connected(pc), CONNECT_TIMEOUT, signal, "the media server cannot be reached");
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

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state"));
  }
}

/** 424: no session at the media side, or it is moving; 404: not a participant, until rejoined. */
export function mayPass(error) {
  return error.transient || error.status === 424 || error.status === 404;
}

/** Resolves once ICE and DTLS are up, rejects when they fail. */
export function connected(pc) {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (pc.connectionState === "connected") resolve();
      if (["failed", "closed"].includes(pc.connectionState)) reject(new Error("it failed"));
    };
    pc.addEventListener("connectionstatechange", check);
    check();
  });
}

/** Resolves when a connection that was up is beyond hope, or the signal aborts. */
export function lost(pc, signal) {
  return new Promise((resolve) => {
    let timer;
    const check = () => {
      clearTimeout(timer);
      if (["failed", "closed"].includes(pc.connectionState)) return resolve();
      if (pc.connectionState === "disconnected") timer = setTimeout(resolve, DISTURBED_LIMIT);
    };
    pc.addEventListener("connectionstatechange", check);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
    check();
  });
}

/** The promise's value, or an error when it takes longer than `ms` or the signal aborts. */
export function within(promise, ms, signal, complaint) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(complaint)), ms);
    signal.addEventListener("abort", () => reject(new Error("given up")), { once: true });
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
