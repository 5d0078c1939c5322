import { backoff, patiently, pause } from "./timing.js";

/** How long past the server's own time-out a silent poll is given up: the connection is dead then. */
const POLL_MARGIN = 5_000;

/**
 * One durable event channel, read by pending GET.
 *
 * Each answer names the next address; asking for it acknowledges the batch before. As long as no answer
 * arrives the same address is asked again, and the server repeats the same batch, so that no event is lost
 * or seen twice, whatever happens to the network or to the server.
 *
 * Events:
 * - `event`: detail is one server event (`{type, sentDate, ...}`)
 * - `resync`: events were lost to age; read the state anew
 * - `state`: {@link Channel#state} changed
 * - `gone`: the channel expired; open another
 * - `refused`: the token does not hold any more; detail is the ApiError
 */
export class Channel extends EventTarget {
  #api;
  #timeout;
  #next = "";
  #closed = false;
  #wait = new AbortController();

  /**
   * @param {import("./api.js").Api} api
   * @param {{timeout?: number}} [options] seconds a poll may stay parked; keep it below the server's grace
   *   period, so that a dead connection is noticed before the server gives the client up
   */
  constructor(api, { timeout = 20 } = {}) {
    super();
    this.#api = api;
    this.#timeout = timeout;
    /** The channel's id, which `join` needs. @type {string} */
    this.id = "";
    /** @type {"online"|"reconnecting"} */
    this.state = "online";
  }

  /** Creates the channel and begins to read it. */
  async open() {
    const made = await patiently(() => this.#api.openChannel());
    this.id = made.queueId;
    this.#next = made.events;
    this.#read();
  }

  /** Gives up the current poll or pause and polls at once: the network may be back. */
  wake() {
    this.#wait.abort();
  }

  /** Stops reading; the server's side stays, for as long as it is kept unread. */
  stop() {
    this.#closed = true;
    this.#wait.abort();
  }

  /** Stops reading and removes the channel at the server. */
  async close() {
    this.stop();
    await this.#api.closeChannel(this.id);
  }

  async #read() {
    for (let failures = 0; !this.#closed; ) {
      this.#wait = new AbortController();
      try {
        const batch = await this.#poll();
        failures = 0;
        this.#become("online");
        this.#deliver(batch);
      } catch (error) {
        if (this.#closed) return;
        const woken = this.#wait.signal.aborted;
        if (this.#final(error)) return;
        if (woken) continue;
        this.#become("reconnecting");
        this.#wait = new AbortController();
        await pause(backoff(failures++, { most: 3000 }), this.#wait.signal);
      }
    }
  }

  #poll() {
    const address = new URL(this.#next, this.#api.base);
    address.searchParams.set("timeout", String(this.#timeout));
    return this.#api.request("GET", address.href, {
      signal: this.#wait.signal,
      timeout: this.#timeout * 1000 + POLL_MARGIN,
    });
  }

  #deliver(batch) {
    this.#next = batch.next ?? batch.resync;
    if (batch.resync) this.#emit("resync");
    for (const event of batch.events) this.#emit("event", event);
  }

  /** Whether no later poll can succeed; says so to listeners. */
  #final(error) {
    if (error.status === 404 || error.status === 410) return this.#end("gone", error);
    if (error.status === 401 || error.status === 403) return this.#end("refused", error);
    return false;
  }

  #end(type, error) {
    this.#closed = true;
    this.#emit(type, error);
    return true;
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#emit("state");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
