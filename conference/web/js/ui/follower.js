import { Channel } from "../parley.js";

/** Many events come at once; what follows from them is read once. Milliseconds. */
const SETTLE = 150;

/**
 * Keeps a page that shows meetings up to date: calls `reread` when something happened that it may show.
 * Without a channel (the server is away, or the user has too many) the page stays as it was read.
 */
export class Follower {
  #channel;
  #timer;
  #reread;
  #concerns;
  #leaving = new AbortController();

  /**
   * @param {import("../parley.js").Api} api
   * @param {() => void} reread
   * @param {(event: object) => boolean} [concerns] which events matter
   */
  constructor(api, reread, concerns = () => true) {
    this.#reread = reread;
    this.#concerns = concerns;
    this.#watch(api);
    addEventListener("pagehide", () => this.close(), { signal: this.#leaving.signal });
  }

  /** Resolves once changes are told, so that what is read afterwards does not miss any. */
  async open() {
    await this.#channel.open().catch(() => {});
  }

  #watch(api) {
    this.#channel = new Channel(api);
    this.#channel.addEventListener("event", ({ detail }) => this.#heed(detail));
    this.#channel.addEventListener("resync", () => this.#soon());
    this.#channel.addEventListener("gone", () => this.#reopen(api));
  }

  async close() {
    clearTimeout(this.#timer);
    this.#leaving.abort();
    this.#reread = () => {};
    this.#channel.stop();
    if (this.#channel.id) await this.#channel.close().catch(() => {}); // it expires by itself otherwise
  }

  #reopen(api) {
    this.#watch(api);
    this.open().then(() => this.#soon());
  }

  #heed(event) {
    if (SHOWN.has(event.type) && this.#concerns(event)) this.#soon();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reread(), SETTLE);
  }
}

const SHOWN = new Set([
  "MEETING_CREATED",
  "MEETING_STARTED",
  "MEETING_STOPPED",
  "MEETING_DELETED",
  "MEETING_PARTICIPANT_JOINED",
  "MEETING_PARTICIPANT_LEFT",
  "MEETING_WAITING_PARTICIPANT_JOINED",
  "MEETING_WAITING_PARTICIPANT_ACCEPTED",
  "MEETING_WAITING_PARTICIPANT_REJECTED",
]);
