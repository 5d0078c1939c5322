import { backoff, pause } from "./timing.js";

/**
 * Brings what the server forwards to us in line with what we want, one request at a time.
 * Feeds are named by their stream keys (`<userId>/video`).
 */
export class Subscriptions {
  #send;
  #wanted = new Set();
  #asked = new Set();
  #running = false;
  #stopped = false;

  /** @param {(subscribe: import("./api.js").Feed[], unsubscribe: import("./api.js").Feed[]) => Promise<void>} send */
  constructor(send) {
    this.#send = send;
  }

  /** Replaces the set of wanted feeds. @param {Iterable<string>} keys */
  want(keys) {
    this.#wanted = new Set(keys);
    this.#work();
  }

  /** The feed ended at its source: the server dropped it by itself, and it is no longer asked for. */
  ended(key) {
    this.#wanted.delete(key);
    this.#asked.delete(key);
  }

  /** The server's side is gone, or was told to forget: everything wanted is to be asked for again. */
  forgotten() {
    this.#asked.clear();
    this.#work();
  }

  /** Asks for everything anew on a connection that was lost: first forget, then subscribe. */
  async renew() {
    const all = [...this.#wanted].map(feed);
    this.#asked.clear();
    if (all.length === 0) return;
    await this.#send([], all).catch(() => {}); // nothing to forget is as good as forgotten
    this.#work();
  }

  stop() {
    this.#stopped = true;
  }

  async #work() {
    if (this.#running) return;
    this.#running = true;
    for (let failures = 0; !this.#stopped; ) {
      const subscribe = [...this.#wanted].filter((key) => !this.#asked.has(key));
      const unsubscribe = [...this.#asked].filter((key) => !this.#wanted.has(key));
      if (subscribe.length + unsubscribe.length === 0) break;
      // Marked before the call, so that a feed which ends meanwhile stays unmarked.
      for (const key of subscribe) this.#asked.add(key);
      for (const key of unsubscribe) this.#asked.delete(key);
      try {
        await this.#send(subscribe.map(feed), unsubscribe.map(feed));
        failures = 0;
      } catch {
        for (const key of subscribe) this.#asked.delete(key);
        await pause(backoff(failures++));
      }
    }
    this.#running = false;
  }
}

function feed(key) {
  const [userId, type] = key.split("/");
  return { userId, type };
}
