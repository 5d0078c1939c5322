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
 * Events: `state` ({@link Admission#state} changed), `channel` ({@link Admission#channelState} changed),
 * `moderated` ({@link Admission#moderated} changed).
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
    /** @type {"left"|"removed"|"rejected"|"withdrawn"|"stopped"|"deleted"|"clashed"|"failed"|undefined} */
    this.reason = undefined;
    /** More about the reason: why the meeting stopped, who removed us, and whether we were still waiting. */
    this.circumstances = { stop: undefined, moderatorId: undefined, waited: false };
    /** Whether a moderator is in the meeting, as far as we know. */
    this.moderated = true;
    /** Whether we were in before and lost our place, so that we join again. */
    this.lost = false;
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

  /** The page goes, and may come back at once; nobody waits for the answer. */
  going() {
    if (this.state === "ended" || !this.queueId) return;
    this.#api.channelGoing(this.queueId).catch(() => {}); // the server notices the silence otherwise
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
    channel.addEventListener("gone", () => {
      this.lost = true;
      this.reopen();
    });
    channel.addEventListener("refused", ({ detail }) => this.#end("failed", detail));
    await channel.open();
    this.#ownChannels.add(channel.id);
  }

  async #join() {
    const outcome = await this.#ask();
    if (this.over.aborted) return;
    if (outcome === "ACCEPTED") {
      this.lost = false;
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
      const { status, moderated = true } = await this.surely(join);
      this.#learnModerated(moderated);
      return status;
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
      this.#learnModerated(meeting.participants.some(({ userType }) => userType === "moderator"));
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
  #decides(event) {
    const { type, userId } = event;
    const aboutMe = userId === this.#api.userId;
    if (type === "MEETING_STOPPED" && this.state !== "inactive") this.#stopped(event.reason);
    else if (type === "MEETING_DELETED") this.#end("deleted");
    else if (type === "MEETING_PARTICIPANT_CLASHED" && this.state === "joined") this.#reconcile();
    else if (type === "MEETING_WAITING_PARTICIPANT_CLASHED") this.#end("clashed");
    else if (type === "MEETING_STARTED") this.retry();
    else if (type === "MEETING_MODERATION_CHANGED") this.#learnModerated(event.moderated);
    else if (this.state === "waiting" && aboutMe) this.#heedVerdict(event);
    else if (aboutMe && type === "MEETING_PARTICIPANT_LEFT") this.#heedDeparture(event);
    else return false;
    return true;
  }

  #stopped(reason) {
    this.circumstances.stop = reason;
    this.#end(reason === "deleted" ? "deleted" : "stopped");
  }

  #heedVerdict({ type, reason }) {
    if (type === "MEETING_WAITING_PARTICIPANT_ACCEPTED") this.#step(() => this.#join());
    if (type !== "MEETING_WAITING_PARTICIPANT_REJECTED") return;
    if (reason === "lost") this.#joinAgain();
    else this.#end(reason === "withdrawn" ? "withdrawn" : "rejected");
  }

  /** The place may have been taken by another page of ours, or lost to silence; then we come back. */
  #heedDeparture({ reason, moderatorId }) {
    if (reason === "removed") {
      this.circumstances.moderatorId = moderatorId;
      return this.#end("removed");
    }
    this.lost = reason === "lost";
    this.#reconcile();
  }

  #joinAgain() {
    this.lost = true;
    this.#step(() => this.#join());
  }

  #learnModerated(moderated) {
    if (this.moderated === moderated) return;
    this.moderated = moderated;
    this.dispatchEvent(new Event("moderated"));
  }

  #end(reason, error) {
    if (this.state === "ended") return;
    this.reason = reason;
    this.error = error;
    this.circumstances.waited = this.state === "waiting";
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
