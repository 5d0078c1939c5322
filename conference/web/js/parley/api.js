import { ApiError, NetworkError } from "./errors.js";

/**
 * @typedef {object} Participant
 * @property {string} userId
 * @property {"moderator"|"registered"} [userType]
 * @property {string} queueId
 * @property {boolean} audioStreamEnabled
 * @property {boolean} videoStreamEnabled
 * @property {boolean} screenStreamEnabled
 *
 * @typedef {object} MeetingData
 * @property {string} id
 * @property {string} name
 * @property {boolean} active
 * @property {Participant[]} participants
 * @property {"permanent"|"scheduled"} meetingType
 * @property {string} [startedAt]
 * @property {string} [joinCode]
 * @property {"moderator"|"registered"} [userType] what we are on its access list
 * @property {number} [waiting] how many wait to be let in; for moderators
 *
 * @typedef {{userId: string, type: "video"|"screen"}} Feed
 */

const REQUEST_TIMEOUT = 15_000;

/** The HTTP calls, one method each. Every method rejects with ApiError or NetworkError. */
export class Api {
  #token;

  /** @param {{token: string, base?: string}} options `base`: the server's address; default: this page's */
  constructor({ token, base = globalThis.location?.origin }) {
    this.#token = token;
    /** The server's address. @type {string} */
    this.base = base;
    const claims = readClaims(token);
    /** The user this token stands for. @type {string} */
    this.userId = claims.sub;
    /** @type {string} */
    this.userName = claims.name ?? claims.email ?? "";
  }

  // meetings

  /** @returns {Promise<MeetingData[]>} */
  meetings() {
    return this.request("GET", "/meetings");
  }

  /** @returns {Promise<MeetingData>} */
  createMeeting({ name, meetingType, expiration }) {
    return this.request("POST", "/meetings", { body: { name, meetingType, expiration } });
  }

  /** @returns {Promise<MeetingData>} */
  meeting(id) {
    return this.request("GET", `/meetings/${id}`);
  }

  /** What a join code stands for; public. @returns {Promise<{meetingId: string, name: string}>} */
  resolve(code) {
    return this.request("GET", `/public/join/${encodeURIComponent(code)}`);
  }

  /** @returns {Promise<MeetingData>} */
  start(id) {
    return this.request("POST", `/meetings/${id}/start`);
  }

  stop(id) {
    return this.request("POST", `/meetings/${id}/stop`);
  }

  remove(id) {
    return this.request("DELETE", `/meetings/${id}`);
  }

  /** @returns {Promise<{status: "ACCEPTED"|"WAITING", moderated?: boolean}>} */
  join(id, queueId, { audio = false, video = false } = {}) {
    const body = { audioStreamEnabled: audio, videoStreamEnabled: video };
    return this.request("POST", `/meetings/${id}/join`, { body, headers: { "queue-id": queueId } });
  }

  leave(id) {
    return this.request("POST", `/meetings/${id}/leave`, { keepalive: true });
  }

  // waiting room

  /** Who waits; moderators only. @returns {Promise<{users: string[]}>} */
  queue(id) {
    return this.request("GET", `/meetings/${id}/queue`);
  }

  /** @param {"ACCEPTED"|"REJECTED"} status REJECTED for oneself withdraws */
  updateQueued(id, userId, status) {
    return this.request("POST", `/meetings/${id}/queue/${userId}`, { body: { status } });
  }

  // access list; moderators only

  /** @param {"moderator"|"registered"} userType */
  setMember(id, userId, userType) {
    return this.request("PUT", `/meetings/${id}/members/${userId}`, { body: { userType } });
  }

  /** Takes somebody off the access list, and out of the meeting. */
  removeMember(id, userId) {
    return this.request("DELETE", `/meetings/${id}/members/${userId}`);
  }

  // media

  offerAudio(id, sdp) {
    return this.request("PUT", `/meetings/${id}/audio/offer`, { body: { sdp } });
  }

  /** @param {string} [userToModerate] another user, whom a moderator mutes */
  setAudio(id, enabled, userToModerate) {
    return this.request("PUT", `/meetings/${id}/audio`, { body: { enabled, userToModerate } });
  }

  /** @param {"video"|"screen"} type  @param {string} [sdp] the offer; needed when enabled */
  setMedia(id, type, enabled, sdp) {
    return this.request("PUT", `/meetings/${id}/media`, { body: { type, enabled, sdp } });
  }

  answerMedia(id, sdp) {
    return this.request("PUT", `/meetings/${id}/media/answer`, { body: { sdp } });
  }

  /** @param {Feed[]} subscribe  @param {Feed[]} unsubscribe */
  subscribe(id, subscribe, unsubscribe) {
    return this.request("PUT", `/meetings/${id}/media/subscribe`, {
      body: { subscribe, unsubscribe },
    });
  }

  // channels

  /** @returns {Promise<{queueId: string, events: string}>} */
  openChannel() {
    return this.request("POST", "/channels");
  }

  closeChannel(queueId) {
    return this.request("DELETE", `/channels/${queueId}`, { keepalive: true });
  }

  /** Says that this page goes, and may come back at once. Outlives the page. */
  channelGoing(queueId) {
    return this.request("POST", `/channels/${queueId}/going`, { keepalive: true });
  }

  // people

  /** @param {string[]} ids @returns {Promise<{id: string, name: string}[]>} */
  users(ids) {
    return this.request("GET", `/users?userIds=${ids.join(",")}`);
  }

  /**
   * One request. A relative or absolute address; a JSON body in, a JSON body (or null) out.
   * @param {string} method
   * @param {string} address
   * @param {{body?: object, headers?: Record<string,string>, signal?: AbortSignal,
   *          keepalive?: boolean, timeout?: number}} [options] `timeout` in milliseconds
   */
  async request(method, address, options = {}) {
    const { body, headers, signal, keepalive, timeout = REQUEST_TIMEOUT } = options;
    const limits = [AbortSignal.timeout(timeout), signal].filter(Boolean);
    try {
      const response = await fetch(new URL(address, this.base), {
        method,
        keepalive,
        cache: "no-store",
        signal: AbortSignal.any(limits),
        headers: this.#headers(headers, body),
        body: body && JSON.stringify(body),
      });
      return await read(response);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new NetworkError(error);
    }
  }

  #headers(extra, body) {
    const headers = { accept: "application/json", ...extra };
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    if (body) headers["content-type"] = "application/json";
    return headers;
  }
}

async function read(response) {
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  const retryAfter = Number(response.headers.get("retry-after")) || undefined;
  throw new ApiError(response.status, parseError(text), retryAfter);
}

/** Proxies answer with HTML, so an error body that is not JSON is expected. */
function parseError(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/**
 * The claims of a JWT, unverified: the client only wants to know whose name to show.
 * @returns {{sub?: string, name?: string, email?: string, exp?: number}}
 */
export function readClaims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}
