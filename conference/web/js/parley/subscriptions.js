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

  /**
   * Nothing is taken for granted any more: everything wanted is asked for again. A worker that has never
   * heard of us starts from it; one that has makes a fresh offer, which renews a lost connection.
   */
  repeat() {
    this.#asked.clear();
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
      // Marked before the call: a repeat() meanwhile must find the marks, to take them away.
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
