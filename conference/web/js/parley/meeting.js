import { Admission } from "./admission.js";
import { Media } from "./media.js";
import { Roster } from "./roster.js";
import { patiently, pause } from "./timing.js";

/** Who is a moderator is asked for this long after somebody arrived. Milliseconds. */
const ROLES_DELAY = 400;

/**
 * One person's presence in one meeting: who is there, who waits, and our own sound and pictures.
 *
 * Events, all without data unless said: `state`, `connection`, `people`, `waiting`, `streams`,
 * `audiotracks`, `self` (what we want to send changed), `muted` (detail: the moderator's user id),
 * `moderated` ({@link Meeting#moderated} changed), `role` ({@link Meeting#isModerator} changed), `arrived` and `departed` (detail: a user id), `knock` (detail: a user id that now waits), `refused`
 * (detail: `{kind, error}`; the server will not take this offer).
 */
export class Meeting extends EventTarget {
  #api;
  #admission;
  #roster = new Roster();
  #media;
  #learningRoles = false;
  #replaced = new Set();

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
    /** Known once in. @type {string} */
    this.name = "";
    /** Known once in. ISO 8601. @type {string|undefined} */
    this.startedAt = undefined;
    this.#media = new Media(api, meetingId, { slots });
    this.#admission = new Admission(api, meetingId, { timeout: pollTimeout }, {
      wishes: () => ({ audio: this.wantsAudio }),
      entered: (meeting) => this.#entered(meeting),
      reread: (meeting) => this.#adopt(meeting),
      outside: () => this.#outside(),
      happened: (event) => this.#take(event),
    });
    this.#relay();
  }

  /** @returns {"idle"|"connecting"|"waiting"|"inactive"|"joined"|"ended"} */
  get state() {
    return this.#admission.state;
  }

  /**
   * Once ended.
   * @returns {"left"|"removed"|"rejected"|"withdrawn"|"stopped"|"deleted"|"clashed"|"failed"|undefined}
   */
  get reason() {
    return this.#admission.reason;
  }

  /**
   * Once ended: why the meeting stopped (`last_left`, `unused`, `deleted`; nothing: somebody stopped it), which
   * moderator removed us, and whether we were still waiting.
   * @returns {{stop?: string, moderatorId?: string, waited: boolean}}
   */
  get circumstances() {
    return this.#admission.circumstances;
  }

  /** Whether a moderator is in the meeting, who could let somebody in; also while waiting. */
  get moderated() {
    return this.#admission.moderated;
  }

  /** Whether we were in and lost our place, and come back. */
  get lost() {
    return this.#admission.lost;
  }

  /** Once failed. @returns {Error|undefined} */
  get error() {
    return this.#admission.error;
  }

  /** The id of our event channel. */
  get queueId() {
    return this.#admission.queueId;
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

  /** The keys of those that stand still, because our link does not carry them. @returns {Set<string>} */
  get paused() {
    return this.#media.paused;
  }

  /** One track for each speaker slot. @returns {MediaStreamTrack[]} */
  get audioTracks() {
    return this.#media.voice.tracks;
  }

  /** @returns {"connected"|"connecting"|"reconnecting"} */
  get connection() {
    if (this.#admission.channelState === "reconnecting") return "reconnecting";
    if (this.trouble) return "reconnecting";
    return this.#media.settled ? "connected" : "connecting";
  }

  /**
   * Why sound or pictures do not come through; null as long as they do, or may yet. Changes with `connection`.
   * @returns {import("./trouble.js").Trouble|null}
   */
  get trouble() {
    return this.state === "joined" ? this.#media.trouble : null;
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
    await this.#admission.enter();
    if (formerQueueId && this.state !== "ended") {
      this.#api.closeChannel(formerQueueId).catch(() => {}); // it expires by itself otherwise
    }
  }

  /** Leaves, or stops waiting. */
  leave() {
    return this.#admission.leave();
  }

  /** Starts the meeting that we wait for; moderators. */
  async start() {
    await this.#api.start(this.id);
    await this.#admission.retry();
  }

  /** For `pagehide`: others see us go without the usual delay, unless this page or its successor goes on. */
  going() {
    this.#admission.going();
  }

  /** The network may be back: poll at once. */
  wake() {
    this.#admission.wake();
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

  /** Figures since the last call. @returns {Promise<import("./stats.js").Figures>} */
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

  /** Mutes everybody else. Rejects if that failed for somebody who is still there. */
  async muteAll() {
    const open = this.people.filter((person) => person.audio && person.userId !== this.me);
    const outcomes = await Promise.allSettled(open.map(({ userId }) => this.mute(userId)));
    const failed = outcomes.find(({ reason }) => reason && reason.status !== 404);
    if (failed) throw failed.reason;
  }

  /** @param {boolean} moderator whether this person shall be one */
  setModerator(userId, moderator) {
    return this.#api.setMember(this.id, userId, moderator ? "moderator" : "registered");
  }

  /** Takes somebody out, and off the access list: they come back only if a moderator lets them. */
  removePerson(userId) {
    return this.#api.removeMember(this.id, userId);
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

  // coming in and going out

  async #entered(meeting) {
    this.#media.start();
    await this.#adopt(meeting);
  }

  async #adopt(meeting) {
    this.name = meeting.name;
    this.startedAt = meeting.startedAt;
    this.#roster.load(meeting);
    this.#peopleChanged();
    await this.#readWaiting();
  }

  async #readWaiting() {
    if (!this.isModerator) return;
    const { users } = await this.#admission.surely(() => this.#api.queue(this.id));
    this.#roster.waiting = new Set(users);
    this.#emit("waiting");
  }

  #outside() {
    if (this.#admission.over.aborted) this.#media.end();
    else this.#media.stop();
  }

  // events of the meeting that we are in

  #take(event) {
    if (event.type === "MEETING_MEDIA_RESET") return this.#media.start();
    this.#media.apply(event);
    const known = this.#roster.people.has(event.userId);
    if (this.#roster.apply(event)) this.#tell(event, known);
  }

  #tell(event, known) {
    const { type, userId } = event;
    const other = userId !== this.me;
    if (type === "MEETING_WAITING_PARTICIPANT_JOINED") this.#emit("knock", userId);
    if (type.startsWith("MEETING_WAITING_")) return this.#emit("waiting");
    if (type === "MEETING_PARTICIPANT_JOINED" && other && !known) this.#arrived(userId);
    if (type === "MEETING_PARTICIPANT_LEFT") this.#departed(event);
    if (type === "MEETING_PARTICIPANT_ROLE_CHANGED" && !other) this.#heedRole();
    if (type === "MEETING_AUDIO_STREAM_CHANGED" && !other) this.#heedMute(event);
    this.#peopleChanged();
  }

  /** Who only changed clients neither leaves nor arrives. */
  #arrived(userId) {
    if (!this.#replaced.delete(userId)) this.#emit("arrived", userId);
    this.#learnRoles();
  }

  #departed({ userId, reason }) {
    if (reason === "replaced") this.#replaced.add(userId);
    else this.#emit("departed", userId);
  }

  async #heedRole() {
    this.#roster.waiting.clear();
    this.#emit("role");
    this.#emit("waiting");
    await this.#readWaiting().catch(() => {}); // no moderator any more: that event follows
  }

  /** For all who arrive within a moment at once. */
  async #learnRoles() {
    if (this.#learningRoles) return;
    this.#learningRoles = true;
    await pause(ROLES_DELAY, this.#admission.over);
    this.#learningRoles = false;
    try {
      this.#roster.learnRoles(await this.#admission.read());
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

  #relay() {
    const pass = (source, type, as = type) =>
      source.addEventListener(type, ({ detail }) => this.#emit(as, detail));
    pass(this.#admission, "state");
    pass(this.#admission, "channel", "connection");
    pass(this.#admission, "moderated");
    pass(this.#media, "streams");
    pass(this.#media, "audiotracks");
    pass(this.#media, "state", "connection");
    pass(this.#media, "refused");
    pass(this.#media.voice, "wanted", "self");
    this.#media.addEventListener("stranded", () => this.#admission.reopen());
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
