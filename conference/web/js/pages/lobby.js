import { avatar } from "../ui/avatar.js";
import { h, icon, setIcon, show, toast } from "../ui/dom.js";
import { Follower } from "../ui/follower.js";
import { page } from "../ui/frame.js";
import { choices, choose } from "../ui/identity.js";
import { watchLoudness } from "../ui/loudness.js";

const LABELS = { camera: "Camera", microphone: "Microphone", speaker: "Speaker" };
const ICONS = { camera: "camera", microphone: "mic", speaker: "speaker" };

/**
 * The page before the meeting: a look at oneself, the choice of devices, and the way in.
 * @param {import("./join.js").Visit} visit
 * @returns {Promise<{audio: boolean, video: boolean}>} once the user wants in; rejects when the meeting is gone
 */
export async function lobbyPage(visit) {
  document.title = `${visit.name} · Parley`;
  const door = await findDoor(visit);
  return new Promise((resolve, reject) => new Lobby(visit, door, resolve, reject));
}

/**
 * How this user gets in.
 * @returns {Promise<{label: string, hint: string, starts: boolean}>}
 */
async function findDoor(visit) {
  const { api, meetingId } = visit;
  const [meeting, queue] = await Promise.allSettled([api.meeting(meetingId), api.queue(meetingId)]);
  for (const { reason } of [meeting, queue]) if (reason && reason.status !== 403) throw reason;
  visit.moderator = queue.status === "fulfilled";
  const active = meeting.value?.active ?? false;
  if (visit.moderator && !active) {
    const hint = ["Nobody is in yet. You are a moderator.", queued(meeting.value)].filter(Boolean).join(" ");
    return { label: "Start the meeting", hint, starts: true };
  }
  if (visit.moderator || meeting.value?.meetingType === "permanent") {
    const hint = [crowd(meeting.value), queued(meeting.value)].filter(Boolean).join(" ");
    return { label: active ? "Join now" : "Join when it starts", hint, starts: false };
  }
  return { label: "Ask to join", hint: "A moderator lets you in.", starts: false };
}

function crowd({ active, participants }) {
  if (!active) return "The meeting has not started yet.";
  if (participants.length === 0) return "Nobody else is here yet.";
  return participants.length === 1 ? "One person is in." : `${participants.length} people are in.`;
}

function queued({ waiting = 0 }) {
  if (waiting === 0) return "";
  return waiting === 1 ? "One person waits to be let in." : `${waiting} people wait to be let in.`;
}

class Lobby {
  #visit;
  #door;
  #resolve;
  #reject;
  #hint;
  #follower;
  #wish = { audio: choices().audio ?? true, video: choices().video ?? true };
  #video = h("video", {
    autoplay: true,
    muted: true,
    playsinline: true,
    "aria-label": "Your camera's picture",
  });
  #standIn;
  #level = h("i");
  #stopMeter = () => {};
  #meteredTrack = null;
  #buttons = {};
  #selects = {};
  #problems = h("div", { class: "problems", role: "status" });
  #enter;
  #redraw = () => this.#draw();

  constructor(visit, door, resolve, reject) {
    this.#visit = visit;
    this.#door = door;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#hint = h("p", { class: "muted", role: "status" }, door.hint);
    this.#follower = new Follower(
      visit.api,
      () => this.#lookAgain(),
      ({ meetingId }) => meetingId === visit.meetingId,
    );
    this.#follower.open().then(() => this.#lookAgain());
    this.#video.muted = true;
    const face = avatar(visit.api.userId, visit.api.userName || "You");
    this.#standIn = h("div", { class: "stand-in" }, face, h("p", {}));
    this.#enter = h("button", { class: "primary", onclick: () => this.#go() }, door.label);
    visit.devices.addEventListener("change", this.#redraw);
    show(this.#build());
    this.#draw();
    this.#open();
    this.#enter.focus();
  }

  /** Somebody started it, came, waits, or it is gone. */
  async #lookAgain() {
    try {
      this.#door = await findDoor(this.#visit);
    } catch (error) {
      if (error.status === 404 && this.#close()) this.#reject(error);
      return; // what cannot be read now is read when something happens again
    }
    const { label, hint } = this.#door;
    if (this.#enter.textContent !== label) this.#enter.textContent = label;
    if (this.#hint.textContent !== hint) this.#hint.textContent = hint;
  }

  async #open() {
    const { devices } = this.#visit;
    await Promise.all([
      this.#wish.audio && devices.open("microphone"),
      this.#wish.video && devices.open("camera"),
    ]);
  }

  #build() {
    const visit = this.#visit;
    this.#buttons.microphone = this.#toggle("microphone", "audio");
    this.#buttons.camera = this.#toggle("camera", "video");
    const preview = h(
      "section",
      { class: "preview", "aria-label": "Preview" },
      this.#standIn,
      this.#video,
      h("div", { class: "toggles" }, this.#buttons.microphone, this.#buttons.camera),
    );
    const side = h(
      "section",
      { class: "lobby-side", "aria-label": "Joining" },
      h("div", {}, h("h1", { dir: "auto" }, visit.name), this.#hint),
      this.#enter,
      this.#problems,
      ...Object.keys(LABELS).map((kind) => this.#field(kind)),
    );
    return page(h("main", { class: "lobby" }, preview, side));
  }

  #toggle(kind, flag) {
    const change = async () => {
      this.#wish[flag] = !this.#wish[flag];
      choose({ [flag]: this.#wish[flag] });
      if (this.#wish[flag]) await this.#visit.devices.open(kind);
      else this.#visit.devices.close(kind);
      this.#draw();
    };
    return h("button", { type: "button", class: "tool", onclick: change }, icon(ICONS[kind]));
  }

  #field(kind) {
    const select = h("select", { onchange: () => this.#visit.devices.choose(kind, select.value) });
    this.#selects[kind] = select;
    const meter = kind === "microphone" && h("div", { class: "level", "aria-hidden": "true" }, this.#level);
    return h("label", { class: "field" }, h("span", {}, icon(ICONS[kind]), LABELS[kind]), select, meter);
  }

  #draw() {
    const { devices } = this.#visit;
    this.#drawPreview(devices.tracks.camera);
    this.#drawToggle("microphone", "mic", devices.tracks.microphone !== null);
    this.#drawToggle("camera", "camera", devices.tracks.camera !== null);
    for (const kind of Object.keys(LABELS)) this.#drawSelect(kind);
    const problems = Object.values(devices.problems).filter(Boolean);
    const notices = problems.map((text) => h("p", { class: "notice" }, icon("warning"), text));
    this.#problems.replaceChildren(...notices);
    this.#meter(devices.tracks.microphone);
  }

  #drawPreview(track) {
    if (this.#video.srcObject?.getTracks()[0] !== track) {
      this.#video.srcObject = track && new MediaStream([track]);
    }
    this.#video.hidden = !track;
    this.#standIn.hidden = Boolean(track);
    this.#standIn.querySelector("p").textContent = this.#wish.video ? "" : "Your camera is off";
  }

  #drawToggle(kind, name, on) {
    const button = this.#buttons[kind];
    setIcon(button, on ? name : `${name}-off`);
    button.classList.toggle("off", !on);
    button.setAttribute("aria-pressed", String(on));
    button.setAttribute("aria-label", LABELS[kind]);
    button.dataset.hint = `${LABELS[kind]} ${on ? "on" : "off"}`;
  }

  #drawSelect(kind) {
    const select = this.#selects[kind];
    const list = this.#visit.devices.list(kind);
    select.closest(".field").hidden = list.length === 0;
    const chosen = this.#visit.devices.chosen(kind);
    select.replaceChildren(
      ...list.map(({ deviceId, label }) =>
        h("option", { value: deviceId, selected: deviceId === chosen }, label || LABELS[kind]),
      ),
    );
  }

  #meter(track) {
    if (track === this.#meteredTrack) return;
    this.#stopMeter();
    this.#meteredTrack = track;
    this.#stopMeter = track
      ? watchLoudness(track, (level) => this.#level.style.setProperty("--level", level))
      : () => {};
  }

  async #go() {
    this.#enter.disabled = true;
    try {
      if (this.#door.starts) await this.#visit.api.start(this.#visit.meetingId);
    } catch (error) {
      this.#enter.disabled = false;
      return toast(error.message);
    }
    if (this.#close()) this.#resolve(this.#wish);
  }

  /** @returns {boolean} whether it was open */
  #close() {
    const open = this.#follower !== null;
    this.#follower?.close();
    this.#follower = null;
    this.#meter(null);
    this.#visit.devices.removeEventListener("change", this.#redraw);
    return open;
  }
}
