import { streamKey } from "./sdp.js";

/**
 * @typedef {object} Person
 * @property {string} userId
 * @property {boolean} moderator
 * @property {boolean} audio whether the microphone is open
 * @property {boolean} video
 * @property {boolean} screen
 * @property {boolean} talking
 */

/** Who is in the meeting and who waits, kept up to date from events. No I/O. */
export class Roster {
  constructor() {
    /** In order of arrival. @type {Map<string, Person>} */
    this.people = new Map();
    /** Users who wait to be let in; known to moderators. @type {Set<string>} */
    this.waiting = new Set();
  }

  /** Takes over a meeting as the server describes it. @param {import("./api.js").MeetingData} meeting */
  load(meeting) {
    const before = this.people;
    this.people = new Map();
    for (const each of meeting.participants) {
      this.people.set(each.userId, {
        userId: each.userId,
        moderator: each.userType === "moderator",
        audio: each.audioStreamEnabled,
        video: each.videoStreamEnabled,
        screen: each.screenStreamEnabled,
        talking: before.get(each.userId)?.talking ?? false,
      });
    }
  }

  /** Takes over only who is a moderator, which events do not say. */
  learnRoles(meeting) {
    for (const { userId, userType } of meeting.participants) {
      const person = this.people.get(userId);
      if (person) person.moderator = userType === "moderator";
    }
  }

  /** Applies one event. @returns {boolean} whether it said anything about people in the meeting */
  apply(event) {
    const change = CHANGES[event.type];
    if (!change) return false;
    change(this, event, this.people.get(event.userId));
    return true;
  }

  /** The keys of every live picture of the others. @param {string} me */
  feeds(me) {
    const keys = [];
    for (const { userId, video, screen } of this.people.values()) {
      if (userId === me) continue;
      if (video) keys.push(streamKey(userId, "video"));
      if (screen) keys.push(streamKey(userId, "screen"));
    }
    return keys;
  }
}

const CHANGES = {
  MEETING_PARTICIPANT_JOINED(roster, { userId }, known) {
    const silent = { audio: false, video: false, screen: false, talking: false };
    roster.people.set(userId, { userId, moderator: known?.moderator ?? false, ...silent });
    roster.waiting.delete(userId);
  },
  MEETING_PARTICIPANT_LEFT(roster, { userId }) {
    roster.people.delete(userId);
  },
  MEETING_PARTICIPANT_ROLE_CHANGED(_roster, { userType }, person) {
    if (person) person.moderator = userType === "moderator";
  },
  MEETING_AUDIO_STREAM_CHANGED(_roster, { active }, person) {
    if (!person) return;
    person.audio = active;
    person.talking &&= active;
  },
  MEETING_MEDIA_STREAM_CHANGED(_roster, { mediaType, active }, person) {
    if (person) person[mediaType.toLowerCase()] = active;
  },
  MEETING_PARTICIPANT_TALKING(_roster, { isTalking }, person) {
    if (person) person.talking = isTalking;
  },
  MEETING_WAITING_PARTICIPANT_JOINED(roster, { userId }) {
    roster.waiting.add(userId);
  },
  MEETING_WAITING_PARTICIPANT_ACCEPTED(roster, { userId }) {
    roster.waiting.delete(userId);
  },
  MEETING_WAITING_PARTICIPANT_REJECTED(roster, { userId }) {
    roster.waiting.delete(userId);
  },
};
