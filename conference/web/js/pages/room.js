import { streamKey } from "../parley.js";
import { announce, copy, h, icon, person, toast } from "../ui/dom.js";
import { themeButton } from "../ui/frame.js";
import { choose } from "../ui/identity.js";
import { peoplePanel } from "../ui/people_panel.js";
import { SidePanel } from "../ui/side_panel.js";
import { Speakers } from "../ui/speakers.js";
import { Stage } from "../ui/stage.js";
import { statsPanel } from "../ui/stats_panel.js";
import { Toolbar } from "../ui/toolbar.js";
import { WaitingNotice } from "../ui/waiting_notice.js";
import { shortcutsDialog } from "../ui/shortcuts.js";

const CONNECTION = { connected: "Connected", connecting: "Connecting…", reconnecting: "Reconnecting…" };

/** The page of a running meeting. */
export class Room {
  #visit;
  #meeting;
  #stage = new Stage();
  #speakers = new Speakers();
  #toolbar;
  #side;
  #notice;
  #chip = h("span", { class: "chip", role: "status", hidden: true });
  #trouble = h("div", { class: "trouble-notice", role: "alert" });
  #clock = h("span", { class: "clock wide-only", title: "Since the meeting started" });
  #ticking;
  #sound;
  #alone;
  #ownStream = null;
  #screen = null;
  #listeners = new AbortController();
  #drawn = false;

  /** @param {import("./join.js").Visit} visit @param {import("../parley.js").Meeting} meeting */
  constructor(visit, meeting) {
    this.#visit = visit;
    this.#meeting = meeting;
    document.title = `${visit.name} · Parley`;
    const panels = { people: peoplePanel(meeting, visit.names), stats: statsPanel(meeting, visit.names) };
    this.#side = new SidePanel(panels, () => this.#draw());
    this.#notice = new WaitingNotice(meeting, visit.names, () => this.#open("people"));
    this.#toolbar = new Toolbar(this.#tools());
    this.#sound = h("button", { class: "primary unmute-sound" }, icon("speaker"), "Tap to hear");
    this.#alone = this.#invitation();
    this.#stage.element.append(this.#sound, this.#alone, this.#trouble);
    const parts = [this.#stage.element, this.#side.element, this.#toolbar.element];
    this.element = h("div", { class: "room" }, this.#header(), ...parts);
    this.#listen();
    this.#speakers.play(meeting.audioTracks);
    this.#ticking = setInterval(() => this.#tick(), 1000);
    this.#tick();
    this.#draw();
  }

  close() {
    this.#listeners.abort();
    clearInterval(this.#ticking);
    this.#screen?.stop();
    this.#speakers.stop();
    this.#stage.close();
    this.#side.close();
    this.#notice.close();
    this.#toolbar.close();
  }

  #tools() {
    const tools = [
      { id: "mic", label: "Microphone", icon: "mic", key: "m", run: () => this.#toggleMicrophone() },
      { id: "camera", label: "Camera", icon: "camera", key: "v", run: () => this.#toggleCamera() },
      { id: "screen", label: "Share screen", icon: "screen", key: "s", run: () => this.#toggleScreen() },
      { id: "people", label: "People", icon: "people", key: "p", run: () => this.#open("people") },
      { id: "stats", label: "Statistics", icon: "chart", key: "i", run: () => this.#open("stats") },
      { id: "leave", label: "Leave", icon: "leave", class: "danger", run: () => this.#meeting.leave() },
    ];
    const canShare = Boolean(navigator.mediaDevices?.getDisplayMedia);
    return tools.filter(({ id }) => id !== "screen" || canShare);
  }

  #header() {
    const shortcuts = h(
      "button",
      {
        type: "button",
        class: "quiet round compact wide-only",
        "aria-label": "Keyboard shortcuts",
        title: "Keyboard shortcuts",
        onclick: shortcutsDialog,
      },
      icon("keyboard"),
    );
    const link = h("button", {
      type: "button",
      class: "quiet round compact",
      "aria-label": "Copy link",
      title: "Copy link",
    }, icon("link"));
    link.addEventListener("click", () => copy(this.#visit.link, link));
    const title = h("h1", { tabindex: "-1", dir: "auto" }, this.#visit.name);
    const spacer = h("span", { class: "spacer" });
    const right = [this.#chip, link, shortcuts, themeButton()];
    return h("header", { class: "room-header" }, title, this.#clock, spacer, ...right);
  }

  #invitation() {
    const button = h("button", { class: "compact primary" }, icon("link"), "Copy link");
    button.addEventListener("click", () => copy(this.#visit.link, button));
    return h("div", { class: "alone" }, h("span", {}, "You are the only one here."), button);
  }

  #listen() {
    const { signal } = this.#listeners;
    const on = (target, type, action) => target.addEventListener(type, action, { signal });
    const meeting = this.#meeting;
    for (const type of ["people", "waiting", "streams", "self", "connection"]) {
      on(meeting, type, () => this.#drawSoon());
    }
    on(meeting, "audiotracks", () => this.#speakers.play(meeting.audioTracks));
    on(meeting, "arrived", ({ detail }) => this.#tell(detail, "joined"));
    on(meeting, "departed", ({ detail }) => this.#tell(detail, "left"));
    on(meeting, "muted", ({ detail }) => toast([person(this.#visit.names.of(detail)), " muted your microphone."]));
    on(meeting, "moderated", () => this.#tellModeration());
    on(meeting, "role", () => this.#tellRole());
    on(meeting, "refused", ({ detail }) => this.#refused(detail));
    on(this.#visit.names, "names", () => this.#drawSoon());
    on(this.#visit.devices, "change", () => this.#followDevices());
    on(this.#visit.devices, "lost", ({ detail }) => toast(detail));
    on(this.#speakers, "change", () => this.#drawSoon());
    on(document, "keydown", (event) => this.#heedKey(event));
    // Any click is what the browser waits for before it plays sound; the button invites to one.
    on(document, "click", () => this.#speakers.blocked && this.#speakers.unblock());
  }

  #heedKey({ key }) {
    if (document.querySelector("dialog[open]")) return;
    if (key === "?") shortcutsDialog();
    if (key === "Escape") this.#side.hide();
  }

  #open(name) {
    this.#side.toggle(name, this.#toolbar.button(name));
    this.#draw();
  }

  async #tell(userId, what) {
    announce(`${await this.#visit.names.learn(userId)} ${what}`);
  }

  #tellModeration() {
    if (this.#meeting.isModerator) return;
    if (this.#meeting.moderated) announce("A moderator is in the meeting.");
    else toast("The last moderator has left. Nobody can be let in until one is back.");
  }

  #tellRole() {
    toast(this.#meeting.isModerator ? "You are a moderator now." : "You are no moderator any more.");
  }

  #refused({ kind, error }) {
    if (kind === "video") this.#visit.devices.close("camera");
    if (kind === "screen") this.#dropScreen();
    toast(`The server did not accept your ${LABELS[kind]}: ${error.message}`);
  }

  // devices

  async #toggleMicrophone() {
    const { devices } = this.#visit;
    const wanted = !(this.#meeting.wantsAudio && this.#meeting.microphone);
    choose({ audio: wanted });
    if (wanted && !this.#meeting.microphone) {
      this.#meeting.microphone = await devices.open("microphone");
      if (!this.#meeting.microphone) return toast(devices.problems.microphone);
    }
    await this.#meeting.setAudio(wanted);
  }

  async #toggleCamera() {
    const { devices } = this.#visit;
    const button = this.#toolbar.button("camera");
    const wanted = devices.tracks.camera === null;
    choose({ video: wanted });
    button.disabled = true;
    try {
      if (wanted) await this.#startCamera();
      else devices.close("camera"); // and what follows from that, see followDevices
    } finally {
      button.disabled = false;
      button.focus();
    }
  }

  async #startCamera() {
    const { devices } = this.#visit;
    const track = await devices.open("camera");
    if (!track) toast(devices.problems.camera);
  }

  /** Whatever happened to the devices, also by being unplugged: what we send follows. */
  async #followDevices() {
    const { camera, microphone } = this.#visit.devices.tracks;
    if (this.#meeting.microphone !== microphone) this.#meeting.microphone = microphone;
    this.#drawSoon();
    if (camera === (this.#ownStream?.getTracks()[0] ?? null)) return;
    this.#ownStream = camera && new MediaStream([camera]);
    try {
      if (camera) await this.#meeting.publish("video", camera);
      else await this.#meeting.unpublish("video");
    } catch (error) {
      toast(error.message);
    }
  }

  async #toggleScreen() {
    if (this.#screen) return this.#dropScreen();
    try {
      const video = { frameRate: { ideal: 15, max: 30 } };
      const stream = await navigator.mediaDevices.getDisplayMedia({ video, audio: false });
      [this.#screen] = stream.getVideoTracks();
    } catch (error) {
      if (error.name !== "NotAllowedError") toast("The screen cannot be shared.");
      return;
    }
    this.#screen.contentHint = "detail";
    this.#screen.addEventListener("ended", () => this.#dropScreen());
    this.#drawSoon();
    await this.#meeting.publish("screen", this.#screen);
  }

  async #dropScreen() {
    if (!this.#screen) return;
    this.#screen.stop();
    this.#screen = null;
    this.#drawSoon();
    await this.#meeting.unpublish("screen").catch((error) => toast(error.message));
  }

  // drawing

  /** Many changes come at once; one drawing is enough for them. */
  #drawSoon() {
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      if (!this.#listeners.signal.aborted) this.#draw();
    });
  }

  #draw() {
    const camera = this.#visit.devices.tracks.camera;
    if (camera && !this.#ownStream) this.#ownStream = new MediaStream([camera]);
    this.#stage.update(this.#pictures());
    this.#alone.hidden = this.#meeting.people.length > 1;
    this.#sound.hidden = !this.#speakers.blocked;
    this.#drawConnection();
    this.#drawTools();
    this.#side.update();
    this.#notice.update(this.#side.shows("people"));
  }

  #pictures() {
    const { people, streams, paused, me, wantsAudio } = this.#meeting;
    const pictures = [];
    people.sort((a, b) => Number(a.userId === me) - Number(b.userId === me));
    for (const person of people) {
      const you = person.userId === me;
      const name = this.#visit.names.of(person.userId);
      const { userId, talking } = person;
      const key = streamKey(userId, "video");
      const stream = you ? this.#ownStream : (streams.get(key) ?? null);
      const muted = you ? !wantsAudio : !person.audio;
      pictures.push({ key, userId, kind: "video", name, you, muted, talking, stream, paused: paused.has(key) });
      const screenKey = streamKey(userId, "screen");
      const screen = streams.get(screenKey);
      if (!screen) continue;
      const still = paused.has(screenKey);
      pictures.push({ key: screenKey, userId, kind: "screen", name, stream: screen, paused: still });
    }
    return pictures;
  }

  #drawConnection() {
    const { connection } = this.#meeting;
    const text = CONNECTION[connection];
    if (this.#chip.textContent !== text) this.#chip.textContent = text;
    this.#chip.hidden = connection === "connected"; // worth its place only when something is wrong
    this.#chip.classList.toggle("live", connection === "connected");
    this.#chip.classList.toggle("trouble", connection === "reconnecting");
    this.#chip.dataset.connection = connection;
    this.#drawTrouble();
  }

  #drawTrouble() {
    const text = explanation(this.#meeting.trouble);
    if (this.#trouble.textContent === text) return;
    this.#trouble.replaceChildren(...(text ? [h("p", { class: "notice" }, icon("warning"), h("span", {}, text))] : []));
  }

  #drawTools() {
    const mic = this.#meeting.wantsAudio && this.#meeting.microphone !== null;
    const camera = this.#ownStream !== null;
    this.#press("mic", mic, "mic", mic ? "Mute" : "Unmute");
    this.#press("camera", camera, "camera", camera ? "Camera off" : "Camera on");
    if (this.#toolbar.button("screen")) this.#drawShare();
    this.#drawBadge(this.#meeting.waiting.length);
  }

  #press(id, on, name, hint) {
    this.#toolbar.press(id, { on, icon: on ? name : `${name}-off`, hint });
    this.#toolbar.button(id).classList.toggle("off", !on);
  }

  #drawShare() {
    const on = this.#screen !== null;
    this.#toolbar.press("screen", {
      on,
      icon: on ? "screen-stop" : "screen",
      hint: on ? "Stop sharing" : "Share screen",
    });
    this.#toolbar.button("screen").classList.toggle("active", on);
  }

  #drawBadge(count) {
    const button = this.#toolbar.button("people");
    button.querySelector(".badge")?.remove();
    if (count) button.append(h("span", { class: "badge" }, String(count)));
    button.setAttribute("aria-label", count ? `People, ${count} waiting` : "People");
  }

  #tick() {
    const { startedAt } = this.#meeting;
    if (!startedAt) return;
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(startedAt)) / 1000));
    const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((n) => String(n).padStart(2, "0"));
    this.#clock.textContent = [...(seconds >= 3600 ? [Math.floor(seconds / 3600)] : []), ...parts].join(":");
  }
}

/** What the user can do about sound and pictures that do not come through. @returns {string} */
function explanation(trouble) {
  if (!trouble) return "";
  if (trouble.kind === "refused") return `Sound and pictures do not work at the moment: ${trouble.message}.`;
  if (trouble.kind === "unanswered") {
    return "The server does not answer for sound and pictures. It may be restarting; this page goes on trying.";
  }
  const said = SAID[trouble.reason];
  if (said) return `Sound and pictures do not work: ${said}. This page goes on trying.`;
  const [where] = trouble.addresses;
  const [address, port] = where?.split(" ") ?? [];
  const to = where ? ` to ${address}, UDP port ${port}` : "";
  return (
    `Sound and pictures do not get through${to}. Check whether a firewall or a VPN blocks it, or try another ` +
    "network. This page goes on trying."
  );
}

/** Why the server says that a connection can't come up, where that is not that nothing gets through. */
const SAID = {
  wrong_certificate:
    "what reaches the server is encrypted with another key than this browser named, so something on the way " +
    "changes it (a proxy or a browser extension, for example)",
  handshake_refused: "this browser and the server could not agree on how to encrypt them",
  handshake_unfinished: "packets get through, but too few of them to agree on how to encrypt",
  failed: "something went wrong at the server",
};

const LABELS = { audio: "sound", video: "camera", screen: "screen" };
