import { Meeting } from "../parley.js";
import { h, person, show, toast } from "../ui/dom.js";
import { Devices } from "../ui/devices.js";
import { messagePage } from "../ui/frame.js";
import { keepReturn, pendingReturn } from "../ui/identity.js";
import { Names } from "../ui/names.js";
import { lobbyPage } from "./lobby.js";
import { Room } from "./room.js";

/**
 * @typedef {object} Visit one stay at a join link, from the preview to the goodbye
 * @property {import("../parley/api.js").Api} api
 * @property {string} code
 * @property {string} meetingId
 * @property {string} name the meeting's
 * @property {string} link the address to send around
 * @property {Devices} devices
 * @property {Names} names
 */

/** Everything behind `/join/{code}`. @param {import("../parley/api.js").Api} api @param {string} code */
export async function joinPage(api, code) {
  show(messagePage({ emblem: "clock", title: "One moment…", text: "Looking up the meeting." }));
  try {
    const { meetingId, name } = await api.resolve(code);
    const link = new URL(`/join/${code}`, location.origin).href;
    const visit = { api, code, meetingId, name, link, names: new Names(api), devices: new Devices() };
    const back = pendingReturn(code);
    if (back) await enter(visit, back);
    else await lobby(visit);
  } catch (error) {
    show(unavailable(error, () => joinPage(api, code)));
  }
}

async function lobby(visit) {
  visit.devices = new Devices();
  let wish;
  try {
    wish = await lobbyPage(visit);
  } catch (error) {
    visit.devices.release();
    return show(unavailable(error, () => lobby(visit)));
  }
  await enter(visit, wish);
}

/**
 * Enters, and shows whatever comes of it until the end.
 * @param {Visit} visit
 * @param {{audio: boolean, video: boolean, queueId?: string}} wish
 */
async function enter(visit, wish) {
  const meeting = new Meeting(visit.api, visit.meetingId);
  globalThis.parley = { meeting }; // for a look from the browser's console
  const over = new AbortController();
  for (const type of ["online", "offline"]) {
    addEventListener(type, () => meeting.wake(), { signal: over.signal });
  }
  addEventListener("pagehide", () => meeting.going(), { signal: over.signal });
  let room = null;
  const render = () => {
    remember(visit, meeting, wish);
    room = view(visit, meeting, room);
    if (meeting.state === "ended") over.abort();
  };
  meeting.addEventListener("state", render);
  meeting.addEventListener("moderated", () => meeting.state === "waiting" && render());
  meeting.addEventListener("self", () => remember(visit, meeting, wish));
  visit.devices.addEventListener("change", () => remember(visit, meeting, wish));
  const audio = wish.audio && (await visit.devices.open("microphone")) !== null;
  meeting.microphone = visit.devices.tracks.microphone;
  if (wish.video) await openCamera(visit, meeting);
  await meeting.enter({ audio, formerQueueId: wish.queueId });
}

async function openCamera(visit, meeting) {
  const track = await visit.devices.open("camera");
  if (track) await meeting.publish("video", track);
}

/** A reload comes back into the meeting as one was; leaving, or being told to go, ends that. */
function remember({ code, devices }, meeting, wish) {
  if (meeting.state === "idle") return;
  if (meeting.state === "ended") return keepReturn(null);
  const settled = meeting.state === "joined";
  keepReturn({
    code,
    queueId: meeting.queueId,
    audio: settled ? meeting.wantsAudio : wish.audio,
    video: settled ? devices.tracks.camera !== null : wish.video,
  });
}

function view(visit, meeting, room) {
  if (meeting.state === "joined") return room ?? openRoom(visit, meeting);
  room?.close();
  if (meeting.state === "ended") visit.devices.release();
  show(VIEWS[meeting.state](visit, meeting));
  document.querySelector("h1")?.focus();
  return null;
}

function openRoom(visit, meeting) {
  const room = new Room(visit, meeting);
  show(room.element);
  room.element.querySelector("h1").focus();
  return room;
}

const VIEWS = {
  connecting: (visit) =>
    messagePage({ emblem: "clock", mood: "waiting", title: "Joining…", text: visit.name }),
  waiting: (visit, meeting) =>
    messagePage({
      emblem: "door",
      mood: "waiting",
      title: "Waiting to be let in",
      text: waitingText(visit, meeting),
      actions: [h("button", { onclick: () => meeting.leave() }, "Stop waiting")],
    }),
  inactive: (visit, meeting) =>
    messagePage({
      emblem: "clock",
      mood: "waiting",
      title: "Not started yet",
      text: [`“${visit.name}” has not started. You come in by yourself once it has.`],
      actions: [
        visit.moderator && startButton(meeting),
        h("button", { onclick: () => meeting.leave() }, "Stop waiting"),
      ].filter(Boolean),
    }),
  ended: (visit, meeting) => farewell(visit, meeting),
};

function waitingText({ name }, { moderated, lost }) {
  const again = lost && "You were away for too long, so a moderator has to let you in again.";
  const who = moderated
    ? ["A moderator of “", person(name), "” has been told that you are here."]
    : ["No moderator of “", person(name), "” is in the meeting right now. You keep your place in the line."];
  const told = h("p", { class: "muted", role: "status" }, ...who);
  return [again, told, "You come in by yourself once you are admitted."].filter(Boolean);
}

function startButton(meeting) {
  const start = () => meeting.start().catch((error) => toast(error.message));
  return h("button", { class: "primary", onclick: start }, "Start the meeting");
}

function farewell(visit, meeting) {
  const again = (label, kind = "primary") =>
    h("button", { class: kind, onclick: () => lobby(visit) }, label);
  const home = h("a", { class: "button", href: "/" }, "My meetings");
  const { moderatorId } = meeting.circumstances;
  const moderator =
    moderatorId && h("p", { class: "muted" }, "The moderator ", person(visit.names.of(moderatorId)), " did that.");
  const pages = {
    left: {
      emblem: "leave",
      title: "You left the meeting",
      text: visit.name,
      actions: [again("Join again"), home],
    },
    removed: {
      emblem: "leave",
      mood: "bad",
      title: "You were taken out of the meeting",
      text: [moderator, "To come back, you have to be let in again."].filter(Boolean),
      actions: [again("Ask to come back", ""), home],
    },
    withdrawn: {
      emblem: "door",
      title: "You do not wait any more",
      text: "Your request was withdrawn in another window.",
      actions: [again("Ask again", ""), home],
    },
    rejected: {
      emblem: "door",
      mood: "bad",
      title: "You were not let in",
      text: "A moderator declined your request.",
      actions: [again("Ask again", ""), home],
    },
    stopped: {
      emblem: "check",
      title: "The meeting has ended",
      text: [endingOf(meeting), h("p", { class: "muted", dir: "auto" }, visit.name)],
      actions: [again("Back to the join page", ""), home],
    },
    deleted: {
      emblem: "close",
      mood: "bad",
      title: "This meeting was deleted",
      text: visit.name,
      actions: [home],
    },
    clashed: {
      emblem: "people",
      title: "You joined from another window",
      text: "A person is in a meeting once. This window has stepped aside for the other one.",
      actions: [again("Use this window instead"), home],
    },
  };
  const parts = pages[meeting.reason];
  return parts ? messagePage(parts) : unavailable(meeting.error, () => lobby(visit));
}

/** Why it ended, in words. */
function endingOf({ circumstances: { stop, waited } }) {
  if (stop === "unused") return "Nobody was in it for a long time.";
  if (stop === "last_left") return waited ? "The last person left before you were let in." : "Everybody has left.";
  return waited ? "It was stopped before you were let in." : "It was ended for everybody.";
}

/** What to say when the link, the meeting or the server cannot be had. */
function unavailable(error, retry) {
  const unexpected = ["That did not work", `${error?.message ?? "Unknown trouble"}.`];
  const [title, text] = REASONS[error?.status] ?? unexpected;
  const lasting = error?.status in REASONS;
  return messagePage({
    emblem: "warning",
    mood: "bad",
    title,
    text,
    actions: [
      !lasting && h("button", { class: "primary", onclick: retry }, "Try again"),
      h("a", { class: "button", href: "/" }, "My meetings"),
    ].filter(Boolean),
  });
}

const REASONS = {
  401: ["Your access has expired", "Open the personal link you were sent, or ask for a new one."],
  403: ["This meeting is for its members", "Ask a moderator of the meeting to add you."],
  404: ["This link does not work", "The meeting may have been deleted. Check that the link is complete."],
};
