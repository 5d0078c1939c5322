import { Publishing, mayPass } from "./publishing.js";
import { Meter } from "./stats.js";
import { streamKey } from "./sdp.js";
import { Subscriptions } from "./subscriptions.js";
import { Sequence, patiently } from "./timing.js";
import { Voice } from "./voice.js";
import { Watching } from "./watching.js";

const BITRATE_LIMIT = { video: 1_500_000, screen: 2_500_000 };

/**
 * The four peer connections of one participant: audio, camera and screen, which we offer, and the inbound
 * one, which the server offers. Knows nothing of who is in the meeting.
 *
 * Events: `streams`, `audiotracks`, `state`, `stranded` (the inbound connection cannot be had back by
 * subscribing anew), `refused` (detail: `{kind, error}`).
 */
export class Media extends EventTarget {
  #api;
  #id;
  #watching;
  #subscriptions;
  #meter = new Meter();
  #published = new Map();
  #calls = { video: new Sequence(), screen: new Sequence() };
  #running = false;
  #lostAt = -Infinity;

  /**
   * @param {import("./api.js").Api} api
   * @param {string} meetingId
   * @param {{slots?: number}} [options] how many speakers can be heard at once
   */
  constructor(api, meetingId, { slots = 3 } = {}) {
    super();
    this.#api = api;
    this.#id = meetingId;
    this.voice = new Voice(api, meetingId, slots);
    this.#followVoice();
    this.#watching = this.#makeWatching();
    this.#subscriptions = new Subscriptions((on, off) => api.subscribe(meetingId, on, off));
  }

  /** @returns {Map<string, MediaStream>} */
  get streams() {
    return this.#watching.streams;
  }

  /** The keys of the streams that stand still, because our link does not carry them. @returns {Set<string>} */
  get paused() {
    return this.#watching.paused;
  }

  /** Whether every connection that should be up is up. */
  get settled() {
    const offered = [...this.#published.values()].every((each) => each.state === "connected");
    return this.voice.state === "connected" && offered && this.#watching.state !== "connecting";
  }

  /** Why sound or pictures do not come through. @returns {import("./trouble.js").Trouble|null} */
  get trouble() {
    const all = [this.voice, this.#watching, ...this.#published.values()];
    return all.find((each) => each.trouble)?.trouble ?? null;
  }

  /** Connects everything that should be connected; again after a reset or a rejoin. */
  start() {
    this.#running = true;
    this.#lostAt = -Infinity;
    this.#watching.reset();
    this.#watching.forgive();
    this.voice.open();
    for (const connection of this.#published.values()) connection.open();
    this.#subscriptions.repeat();
  }

  /** Closes every connection. What was published is connected again at the next start. */
  stop() {
    this.#running = false;
    this.want([]);
    this.#watching.reset();
    this.voice.close();
    for (const connection of this.#published.values()) connection.close();
  }

  /** For good. */
  end() {
    this.#subscriptions.stop();
    this.#published.clear();
    this.stop();
  }

  /** @param {Iterable<string>} keys the pictures to see */
  want(keys) {
    const wanted = [...keys];
    if (wanted.length === 0) this.#watching.forgive();
    this.#subscriptions.want(wanted);
  }

  /**
   * Sends a camera or screen track; a second call changes the track.
   * @param {"video"|"screen"} kind @param {MediaStreamTrack} track
   */
  async publish(kind, track) {
    const known = this.#published.get(kind);
    if (known) {
      known.track = track;
      await known.pc?.getSenders()[0]?.replaceTrack(track);
      return;
    }
    const connection = this.#makePublishing(kind, track);
    this.#published.set(kind, connection);
    if (this.#running) connection.open();
  }

  /** @param {"video"|"screen"} kind */
  async unpublish(kind) {
    const connection = this.#published.get(kind);
    if (!connection) return;
    this.#published.delete(kind);
    connection.close();
    if (this.#running) await this.#calls[kind].run(() => this.#tellOff(kind));
  }

  /** Failing is no harm: who is out, or whose worker is gone, publishes nothing any more. */
  async #tellOff(kind) {
    try {
      await patiently(() => this.#api.setMedia(this.#id, kind, false), { tries: 5, passing: mayPass });
    } catch (error) {
      if (!mayPass(error)) throw error;
    }
  }

  /** Takes the events about our own connections. */
  apply(event) {
    const kind = event.mediaType?.toLowerCase();
    if (event.type === "MEETING_AUDIO_ANSWERED") this.voice.answer(event.sdp);
    if (event.type === "MEETING_SDP_ANSWERED") this.#published.get(kind)?.answer(event.sdp);
    if (event.type === "MEETING_SDP_OFFERED") this.#watching.offer(event.sdp);
    if (event.type === "MEETING_SUBSCRIPTION_PAUSED") {
      this.#watching.pause(streamKey(event.userId, kind), event.paused);
    }
    if (event.type === "MEETING_CONNECTION_LOST") this.#connection(event.connection)?.heed(event);
  }

  /** Figures of all connections since the last call. @returns {Promise<import("./stats.js").Figures>} */
  figures() {
    const connections = new Map([["audio", this.voice.pc], ["inbound", this.#watching.pc]]);
    for (const [kind, connection] of this.#published) connections.set(kind, connection.pc);
    return this.#meter.read(connections, this.#watching.streams);
  }

  /** By the server's name for it. */
  #connection(name) {
    return { audio: this.voice, inbound: this.#watching }[name] ?? this.#published.get(name);
  }

  #followVoice() {
    this.voice.addEventListener("tracks", () => this.#emit("audiotracks"));
    this.voice.addEventListener("state", () => this.#emit("state"));
    this.voice.addEventListener("refused", ({ detail }) =>
      this.#emit("refused", { kind: "audio", error: detail }),
    );
  }

  #makePublishing(kind, track) {
    const connection = new Publishing({
      build: (pc) => {
        const sendEncodings = [{ maxBitrate: BITRATE_LIMIT[kind] }];
        pc.addTransceiver(connection.track, { direction: "sendonly", sendEncodings });
      },
      send: (sdp) => this.#calls[kind].run(() => this.#api.setMedia(this.#id, kind, true, sdp)),
    });
    connection.track = track;
    connection.addEventListener("state", () => this.#emit("state"));
    connection.addEventListener("refused", ({ detail }) => {
      this.#published.delete(kind);
      this.#emit("refused", { kind, error: detail });
    });
    return connection;
  }

  #makeWatching() {
    const watching = new Watching((sdp) => this.#api.answerMedia(this.#id, sdp));
    watching.addEventListener("streams", () => this.#emit("streams"));
    watching.addEventListener("state", () => this.#emit("state"));
    watching.addEventListener("lost", () => this.#recoverInbound());
    return watching;
  }

  /** Subscribing anew brings a new offer; if that connection is lost as well, only rejoining helps. */
  #recoverInbound() {
    if (!this.#running) return;
    const again = performance.now() - this.#lostAt < 30_000;
    this.#lostAt = performance.now();
    if (again) this.#emit("stranded");
    else this.#subscriptions.repeat();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
