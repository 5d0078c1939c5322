import { Channel } from "./channel.js";
import { Sequence, patiently, pause } from "./timing.js";

/** A meeting that has not started is asked for again this often, besides at its event. Milliseconds. */
const START_POLL = 5_000;

/**
 * @typedef {object} Inside what the rest of the client does about our coming and going
 * @property {() => {audio: boolean}} wishes what to ask for when joining
 * @property {(meeting: import("./api.js").MeetingData) => Promise<void>} entered we are in, for the first
 *   time or again; the server knows nothing of our media
 * @property {(meeting: import("./api.js").MeetingData) => Promise<void>} reread we are in as before, but
 *   events may have been missed: this is how things stand
 * @property {() => void} outside we are not in any more, or not yet
 * @property {(event: object) => void} happened an event of the meeting that we are in
 */

/**
 * How one gets into a meeting and stays in it: the event channel, joining, the waiting room, and coming
 * back after whatever went wrong.
 *
 * Events: `state` ({@link Admission#state} changed), `channel` ({@link Admission#channelState} changed).
 */
export class Admission extends EventTarget {
  #api;
  #id;
  #inside;
  #channelOptions;
  #channel = null;
  #ownChannels = new Set();
  #steps = new Sequence();
  #held = null;
  #over = new AbortController();

  /**
   * @param {import("./api.js").Api} api @param {string} meetingId
   * @param {{timeout: number}} channelOptions @param {Inside} inside
   */
  constructor(api, meetingId, channelOptions, inside) {
    super();
    this.#api = api;
    this.#id = meetingId;
    this.#channelOptions = channelOptions;
    this.#inside = inside;
    /** @type {"idle"|"connecting"|"waiting"|"inactive"|"joined"|"ended"} */
    this.state = "idle";
    /** @type {"left"|"rejected"|"stopped"|"deleted"|"clashed"|"failed"|undefined} */
    this.reason = undefined;
    /** @type {Error|undefined} */
    this.error = undefined;
  }

  get queueId() {
    return this.#channel?.id ?? "";
  }

  get channelState() {
    return this.#channel?.state ?? "online";
  }

  /** Aborted once it is all over. */
  get over() {
    return this.#over.signal;
  }

  enter() {
    this.#become("connecting");
    return this.reopen();
  }

  async leave() {
    const { state } = this;
    const channel = this.#channel;
    this.#end("left");
    if (state === "joined") await this.#api.leave(this.#id).catch(() => {});
    if (state === "waiting") {
      await this.#api.updateQueued(this.#id, this.#api.userId, "REJECTED").catch(() => {});
    }
    await channel?.close().catch(() => {}); // unread channels expire, and take their participant along
  }

  /** Asks for a meeting again that had not started. */
  async retry() {
    if (this.state === "inactive") await this.#step(() => this.#join());
  }

  wake() {
    this.#channel?.wake();
  }

  /** A new channel, and join with it: at the beginning, when the channel expired, as the last resort. */
  reopen() {
    return this.#step(async () => {
      await this.#openChannel();
      await this.#join();
    });
  }

  /** The meeting as the server has it. As long as it cannot be reached, this goes on trying. */
  read() {
    return this.surely(() => this.#api.meeting(this.#id));
  }

  /** Runs a repeatable call until the server answers or all is over. */
  surely(call) {
    return patiently(call, { tries: Infinity, signal: this.over });
  }

  /**
   * Runs a step after the one before. Events that arrive meanwhile are held and applied after it: they may
   * be newer than what the step reads. What a step cannot get over ends the meeting for us.
   */
  #step(action) {
    return this.#steps.run(async () => {
      if (this.state === "ended") return;
      this.#held = [];
      try {
        await action();
      } catch (error) {
        this.#end("failed", error);
      }
      const held = this.#held;
      this.#held = null;
      for (const event of held) this.#take(event);
    });
  }

  async #openChannel() {
    this.#channel?.stop();
    const channel = new Channel(this.#api, this.#channelOptions);
    this.#channel = channel;
    channel.addEventListener("event", ({ detail }) => this.#take(detail));
    channel.addEventListener("resync", () => this.#reconcile());
    channel.addEventListener("state", () => this.dispatchEvent(new Event("channel")));
    channel.addEventListener("gone", () => this.reopen());
    channel.addEventListener("refused", ({ detail }) => this.#end("failed", detail));
    await channel.open();
    this.#ownChannels.add(channel.id);
  }

  async #join() {
    const outcome = await this.#ask();
    if (this.over.aborted) return;
    if (outcome === "ACCEPTED") {
      const meeting = await this.read();
      if (this.over.aborted) return;
      this.#become("joined");
      await this.#inside.entered(meeting);
      return;
    }
    this.#inside.outside();
    this.#become(outcome === "WAITING" ? "waiting" : "inactive");
    if (outcome === "INACTIVE") this.#retryLater();
  }

  /** @returns {Promise<"ACCEPTED"|"WAITING"|"INACTIVE">} */
  async #ask() {
    const join = () => this.#api.join(this.#id, this.queueId, this.#inside.wishes());
    try {
      return (await this.surely(join)).status;
    } catch (error) {
      if (error.status === 409) return "ACCEPTED"; // this channel is in: an earlier answer was lost
      if (error.status === 424 && !(await this.read()).active) return "INACTIVE";
      throw error;
    }
  }

  async #retryLater() {
    await pause(START_POLL, this.over);
    await this.retry();
  }

  /** Reads the state anew, and puts right whatever changed while nobody told us. */
  #reconcile() {
    return this.#step(async () => {
      if (this.state !== "joined") return await this.#join();
      const meeting = await this.read();
      const mine = meeting.participants.find((each) => each.userId === this.#api.userId);
      if (!meeting.active) this.#end("stopped");
      else if (!mine) await this.#join();
      else if (!this.#ownChannels.has(mine.queueId)) this.#end("clashed");
      else await this.#inside.reread(meeting);
    });
  }

  #take(event) {
    if (event.meetingId !== this.#id || this.state === "ended") return;
    if (this.#held) this.#held.push(event);
    else if (this.#decides(event)) return;
    else if (this.state === "joined") this.#inside.happened(event);
  }

  /** @returns {boolean} whether the event decided about us */
  #decides({ type, userId }) {
    const aboutMe = userId === this.#api.userId;
    if (type === "MEETING_STOPPED" && this.state !== "inactive") this.#end("stopped");
    else if (type === "MEETING_DELETED") this.#end("deleted");
    else if (type === "MEETING_PARTICIPANT_CLASHED" && this.state === "joined") this.#reconcile();
    else if (type === "MEETING_WAITING_PARTICIPANT_CLASHED") this.#end("clashed");
    else if (type === "MEETING_STARTED") this.retry();
    else if (this.state === "waiting" && aboutMe) this.#heedVerdict(type);
    else if (aboutMe && type === "MEETING_PARTICIPANT_LEFT") this.#reconcile();
    else return false;
    return true;
  }

  #heedVerdict(type) {
    if (type === "MEETING_WAITING_PARTICIPANT_ACCEPTED") this.#step(() => this.#join());
    if (type === "MEETING_WAITING_PARTICIPANT_REJECTED") this.#end("rejected");
  }

  #end(reason, error) {
    if (this.state === "ended") return;
    this.reason = reason;
    this.error = error;
    this.#over.abort();
    this.#channel?.stop();
    this.#inside.outside();
    this.#become("ended");
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
