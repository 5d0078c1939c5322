import { Channel } from "./channel.js";
import { Media } from "./media.js";
import { Roster } from "./roster.js";
import { Sequence, patiently, pause } from "./timing.js";

/** A meeting that has not started is asked for again this often, besides at its event. Milliseconds. */
const START_POLL = 5_000;
/** Who is a moderator is asked for this long after somebody arrived. Milliseconds. */
const ROLES_DELAY = 400;

/**
 * One person's presence in one meeting: joining and waiting, who is there, media, and recovery.
 *
 * Events, all without data unless said: `state`, `connection`, `people`, `waiting`, `streams`,
 * `audiotracks`, `self`, `muted` (detail: the moderator's user id), `arrived` and `departed` (detail: a user
 * id), `knock` (detail: a user id that now waits), `refused` (detail: `{kind, error}`).
 */
export class Meeting extends EventTarget {
  #api;
  #channel = null;
  #ownChannels = new Set();
  #channelOptions;
  #roster = new Roster();
  #media;
  #admission = new Sequence();
  #held = null;
  #learningRoles = false;
  #over = new AbortController();

  /**
   * @param {import("./api.js").Api} api
   * @param {string} meetingId
   * @param {{slots?: number, pollTimeout?: number}} [options] `slots`: speakers heard at once;
   *   `pollTimeout`: seconds a poll may stay parked
   */
  constructor(api, meetingId, { slots = 3, pollTimeout = 20 } = {}) {
    super();
    this.#api = api;
    this.id = meetingId;
    /** @type {string} */
    this.me = api.userId;
    /** @type {"idle"|"connecting"|"waiting"|"inactive"|"joined"|"ended"} */
    this.state = "idle";
    /** Once ended. @type {"left"|"rejected"|"stopped"|"deleted"|"clashed"|"failed"|undefined} */
    this.reason = undefined;
    /** Once failed. @type {Error|undefined} */
    this.error = undefined;
    this.#channelOptions = { timeout: pollTimeout };
    this.#media = new Media(api, meetingId, { slots });
    this.#relayMedia();
  }

  /** Everybody in the meeting, ourselves included. @returns {import("./roster.js").Person[]} */
  get people() {
    return [...this.#roster.people.values()];
  }

  /** Users who wait to be let in; for moderators. @returns {string[]} */
  get waiting() {
    return [...this.#roster.waiting];
  }

  get isModerator() {
    return this.#roster.people.get(this.me)?.moderator ?? false;
  }

  /** Pictures that arrive, by stream key. @returns {Map<string, MediaStream>} */
  get streams() {
    return this.#media.streams;
  }

  /** One track for each speaker slot. @returns {MediaStreamTrack[]} */
  get audioTracks() {
    return this.#media.voice.tracks;
  }

  /** @returns {"connected"|"connecting"|"reconnecting"} */
  get connection() {
    if (this.#channel?.state === "reconnecting") return "reconnecting";
    return this.#media.settled ? "connected" : "connecting";
  }

  /** The id of our event channel. */
  get queueId() {
    return this.#channel?.id ?? "";
  }

  /** Whether we want to be heard; a moderator's mute turns it off. */
  get wantsAudio() {
    return this.#media.voice.wanted;
  }

  /** Our microphone's track, or null. */
  get microphone() {
    return this.#media.voice.microphone;
  }

  set microphone(track) {
    this.#media.voice.microphone = track;
  }

  // joining and leaving

  /**
   * Joins. Ends in state `joined`, `waiting` (to be let in), `inactive` (until somebody starts the meeting)
   * or `ended`; the later changes come as `state` events.
   * @param {{audio?: boolean, formerQueueId?: string}} [options] `formerQueueId`: the channel of an earlier
   *   page of this client, which is not needed any more
   */
  async enter({ audio = false, formerQueueId } = {}) {
    this.#media.voice.want(audio);
    this.#become("connecting");
    await this.#reopen();
    if (formerQueueId && this.state !== "ended") {
      this.#api.closeChannel(formerQueueId).catch(() => {}); // it expires by itself otherwise
    }
  }

  /** Leaves, or stops waiting. */
  async leave() {
    const { state } = this;
    const channel = this.#channel;
    this.#end("left");
    if (state === "joined") await this.#api.leave(this.id).catch(() => {});
    if (state === "waiting") {
      await this.#api.updateQueued(this.id, this.me, "REJECTED").catch(() => {});
    }
    await channel?.close().catch(() => {}); // unread channels expire, and take their participant along
  }

  /** Starts the meeting that we wait for; moderators. */
  async start() {
    await this.#api.start(this.id);
    await this.#retryInactive();
  }

  /** The network may be back: poll at once. */
  wake() {
    this.#channel?.wake();
  }

  // media

  /** Opens or closes our microphone. */
  setAudio(enabled) {
    return this.#media.voice.want(enabled);
  }

  /** Sends a camera or screen track, or changes it. @param {"video"|"screen"} kind */
  publish(kind, track) {
    return this.#media.publish(kind, track);
  }

  /** @param {"video"|"screen"} kind */
  unpublish(kind) {
    return this.#media.unpublish(kind);
  }

  /** Figures since the last call. */
  figures() {
    return this.#media.figures();
  }

  // moderation

  admit(userId) {
    return this.#decide(userId, "ACCEPTED");
  }

  reject(userId) {
    return this.#decide(userId, "REJECTED");
  }

  mute(userId) {
    return this.#api.setAudio(this.id, false, userId);
  }

  /** Ends the meeting for everybody. */
  stop() {
    return this.#api.stop(this.id);
  }

  async #decide(userId, status) {
    try {
      await patiently(() => this.#api.updateQueued(this.id, userId, status), { tries: 3 });
    } catch (error) {
      if (error.status !== 404) throw error; // another moderator was faster
    }
    this.#roster.waiting.delete(userId);
    this.#emit("waiting");
  }

  // admission

  /**
   * Runs a step of admission after the one before. Events that arrive meanwhile are held and applied after
   * it: they may be newer than what the step reads. What a step cannot get over ends the meeting for us.
   */
  #admit(step) {
    return this.#admission.run(async () => {
      if (this.state === "ended") return;
      this.#held = [];
      try {
        await step();
      } catch (error) {
        this.#end("failed", error);
      }
      const held = this.#held;
      this.#held = null;
      for (const event of held) this.#take(event);
    });
  }

  /** At the beginning, and when our channel expired while we were away: a new channel, and join. */
  #reopen() {
    return this.#admit(async () => {
      await this.#openChannel();
      await this.#join();
    });
  }

  async #openChannel() {
    this.#channel?.stop();
    const channel = new Channel(this.#api, this.#channelOptions);
    this.#channel = channel;
    channel.addEventListener("event", ({ detail }) => this.#take(detail));
    channel.addEventListener("resync", () => this.#reconcile());
    channel.addEventListener("state", () => this.#emit("connection"));
    channel.addEventListener("gone", () => this.#reopen());
    channel.addEventListener("refused", ({ detail }) => this.#end("failed", detail));
    await channel.open();
    this.#ownChannels.add(channel.id);
  }

  async #join() {
    const outcome = await this.#ask();
    if (this.#over.signal.aborted) return;
    if (outcome === "ACCEPTED") return await this.#entered();
    this.#media.stop();
    this.#become(outcome === "WAITING" ? "waiting" : "inactive");
    if (outcome === "INACTIVE") this.#askAgainLater();
  }

  /** @returns {Promise<"ACCEPTED"|"WAITING"|"INACTIVE">} */
  async #ask() {
    const flags = { audio: this.wantsAudio };
    try {
      return (await this.#surely(() => this.#api.join(this.id, this.#channel.id, flags))).status;
    } catch (error) {
      if (error.status === 409) return "ACCEPTED"; // this channel is in: an earlier answer was lost
      if (error.status === 424 && !(await this.#read()).active) return "INACTIVE";
      throw error;
    }
  }

  #read() {
    return this.#surely(() => this.#api.meeting(this.id));
  }

  /** As long as the server cannot be reached, there is nothing better to do than to go on trying. */
  #surely(action) {
    return patiently(action, { tries: Infinity, signal: this.#over.signal });
  }

  async #askAgainLater() {
    await pause(START_POLL, this.#over.signal);
    await this.#retryInactive();
  }

  async #retryInactive() {
    if (this.state === "inactive") await this.#admit(() => this.#join());
  }

  async #entered() {
    const meeting = await this.#read();
    if (this.#over.signal.aborted) return;
    this.#become("joined");
    this.#adopt(meeting);
    this.#media.start();
    await this.#learnWaiting();
  }

  #adopt(meeting) {
    this.name = meeting.name;
    this.startedAt = meeting.startedAt;
    this.#roster.load(meeting);
    this.#peopleChanged();
  }

  async #learnWaiting() {
    if (!this.isModerator) return;
    const { users } = await this.#surely(() => this.#api.queue(this.id));
    this.#roster.waiting = new Set(users);
    this.#emit("waiting");
  }

  /** Reads the state anew, and puts right whatever changed while nobody told us. */
  #reconcile() {
    return this.#admit(async () => {
      if (this.state !== "joined") return await this.#join();
      const meeting = await this.#read();
      const mine = meeting.participants.find((each) => each.userId === this.me);
      if (!meeting.active) this.#end("stopped");
      else if (!mine) await this.#join();
      else if (!this.#ownChannels.has(mine.queueId)) this.#end("clashed");
      else {
        this.#adopt(meeting);
        await this.#learnWaiting();
      }
    });
  }

  #end(reason, error) {
    if (this.state === "ended") return;
    this.reason = reason;
    this.error = error;
    this.#over.abort();
    this.#channel?.stop();
    this.#media.end();
    this.#become("ended");
  }

  // events

  #take(event) {
    if (event.meetingId !== this.id || this.state === "ended") return;
    if (this.#held) return this.#held.push(event);
    if (this.#takeAdmission(event)) return;
    if (this.state !== "joined") return;
    if (event.type === "MEETING_MEDIA_RESET") return this.#media.start();
    this.#media.apply(event);
    this.#takePeople(event);
  }

  /** @returns {boolean} whether the event decided about us */
  #takeAdmission({ type, userId }) {
    const aboutMe = userId === this.me;
    if (type === "MEETING_STOPPED" && this.state !== "inactive") this.#end("stopped");
    else if (type === "MEETING_DELETED") this.#end("deleted");
    else if (type === "MEETING_PARTICIPANT_CLASHED" && this.state === "joined") this.#reconcile();
    else if (type === "MEETING_WAITING_PARTICIPANT_CLASHED") this.#end("clashed");
    else if (type === "MEETING_STARTED") this.#retryInactive();
    else if (this.state === "waiting" && aboutMe) this.#takeVerdict(type);
    else if (aboutMe && type === "MEETING_PARTICIPANT_LEFT") this.#reconcile();
    else return false;
    return true;
  }

  #takeVerdict(type) {
    if (type === "MEETING_WAITING_PARTICIPANT_ACCEPTED") this.#admit(() => this.#join());
    if (type === "MEETING_WAITING_PARTICIPANT_REJECTED") this.#end("rejected");
  }

  #takePeople(event) {
    const { type, userId } = event;
    const other = userId !== this.me;
    const known = this.#roster.people.has(userId);
    if (!this.#roster.apply(event)) return;
    if (type === "MEETING_WAITING_PARTICIPANT_JOINED") this.#emit("knock", userId);
    if (type.startsWith("MEETING_WAITING_")) return this.#emit("waiting");
    if (type === "MEETING_PARTICIPANT_JOINED" && other && !known) this.#arrived(userId);
    if (type === "MEETING_PARTICIPANT_LEFT") this.#emit("departed", userId);
    if (type === "MEETING_AUDIO_STREAM_CHANGED" && !other) this.#heedMute(event);
    this.#peopleChanged();
  }

  #arrived(userId) {
    this.#emit("arrived", userId);
    this.#learnRoles();
  }

  /** For all who arrive within a moment at once. */
  async #learnRoles() {
    if (this.#learningRoles) return;
    this.#learningRoles = true;
    await pause(ROLES_DELAY, this.#over.signal);
    this.#learningRoles = false;
    try {
      this.#roster.learnRoles(await this.#read());
      this.#emit("people");
    } catch {
      // Only a word in the list of people is missing.
    }
  }

  #heedMute({ active, moderatorId }) {
    if (active || !moderatorId || moderatorId === this.me) return;
    this.#media.voice.wasMuted();
    this.#emit("muted", moderatorId);
  }

  #peopleChanged() {
    this.#media.want(this.#roster.feeds(this.me));
    this.#emit("people");
  }

  #relayMedia() {
    for (const type of ["streams", "audiotracks"]) {
      this.#media.addEventListener(type, () => this.#emit(type));
    }
    this.#media.addEventListener("state", () => this.#emit("connection"));
    this.#media.addEventListener("refused", ({ detail }) => this.#emit("refused", detail));
    this.#media.addEventListener("stranded", () => this.#reopen());
    this.#media.voice.addEventListener("wanted", () => this.#emit("self"));
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
