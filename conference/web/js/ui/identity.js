import { readClaims } from "../parley/api.js";

/** Who uses this tab (a token), and the choices kept for the next time. */

const TOKEN = "parley.token";
const RETURN = "parley.return";
const CHOICES = "parley.choices";

/** Takes a token out of the address (`#token=…`), so that it is neither bookmarked nor shared. */
export function adoptTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  if (token !== kept()) keepReturn(null); // somebody else's meeting is not ours to come back to
  keepToken(token);
  history.replaceState(null, "", location.pathname + location.search);
}

/** The token of this tab. @returns {string|null} */
export function kept() {
  return sessionStorage.getItem(TOKEN);
}

export function keepToken(text) {
  sessionStorage.setItem(TOKEN, text.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}

/** Why this text is no usable token, or an empty string. */
export function complaintAbout(text) {
  const claims = readClaims(text.trim());
  if (!claims.sub) return "This is not a token. It has three parts with dots between them.";
  if (claims.exp && claims.exp * 1000 < Date.now()) return "This token has expired. Ask for a new one.";
  return "";
}

/**
 * What a reload needs to come back into the same meeting.
 * @typedef {{code: string, queueId: string, audio: boolean, video: boolean}} Return
 */

/** @param {string} code @returns {Return|null} */
export function pendingReturn(code) {
  const kept = readJson(sessionStorage, RETURN);
  return kept?.code === code ? kept : null;
}

/** @param {Return|null} value */
export function keepReturn(value) {
  if (value) sessionStorage.setItem(RETURN, JSON.stringify(value));
  else sessionStorage.removeItem(RETURN);
}

/**
 * @returns {{camera?: string, microphone?: string, speaker?: string,
 *            audio?: boolean, video?: boolean, theme?: string}}
 */
export function choices() {
  return readJson(localStorage, CHOICES) ?? {};
}

export function choose(change) {
  localStorage.setItem(CHOICES, JSON.stringify({ ...choices(), ...change }));
}

function readJson(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}
