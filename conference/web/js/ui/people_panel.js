import { avatar } from "./avatar.js";
import { confirmed, h, icon, toast } from "./dom.js";

/**
 * The list of people, and for moderators who waits, with what can be done about them.
 * @param {import("../parley.js").Meeting} meeting
 * @param {import("./names.js").Names} names
 * @returns {{title: string, element: HTMLElement, update: () => void}}
 */
export function peoplePanel(meeting, names) {
  const element = h("div", { class: "panel-body" });
  const update = () => {
    const focused = keyOfFocus(element);
    const parts = [waitingList(meeting, names), peopleList(meeting, names), ending(meeting)];
    element.replaceChildren(...parts.filter(Boolean));
    restoreFocus(element, focused);
  };
  return { title: "People", element, update };
}

/** Runs an action of a moderator and says if it failed. */
export async function attempt(action) {
  try {
    await action();
  } catch (error) {
    toast(error.message);
  }
}

function waitingList(meeting, names) {
  const { waiting } = meeting;
  if (waiting.length === 0) return null;
  const all = h(
    "button",
    {
      class: "compact all",
      "data-key": "admit-all",
      onclick: () => attempt(() => Promise.all(waiting.map((id) => meeting.admit(id)))),
    },
    "Admit all",
  );
  return h(
    "section",
    { class: "waiting-list", "aria-label": "Waiting to be let in" },
    h("h3", {}, `Waiting (${waiting.length})`),
    h("ul", { class: "people" }, ...waiting.map((userId) => waitingEntry(meeting, userId, names.of(userId)))),
    waiting.length > 1 && all,
  );
}

function waitingEntry(meeting, userId, name) {
  return h(
    "li",
    { "data-user": userId },
    avatar(userId, name),
    h("div", { class: "who" }, h("strong", {}, name)),
    h(
      "button",
      {
        class: "compact round",
        "data-key": `reject ${userId}`,
        "aria-label": `Reject ${name}`,
        title: "Reject",
        onclick: () => attempt(() => meeting.reject(userId)),
      },
      icon("close"),
    ),
    h(
      "button",
      {
        class: "compact primary",
        "data-key": `admit ${userId}`,
        "aria-label": `Admit ${name}`,
        onclick: () => attempt(() => meeting.admit(userId)),
      },
      "Admit",
    ),
  );
}

function peopleList(meeting, names) {
  const isMe = ({ userId }) => Number(userId === meeting.me);
  const people = [...meeting.people].sort((a, b) => isMe(b) - isMe(a));
  const entries = people.map((person) => personEntry(meeting, person, names.of(person.userId)));
  return h(
    "section",
    { "aria-label": "In the meeting" },
    h("h3", {}, `In the meeting (${people.length})`),
    h("ul", { class: "people" }, ...entries),
  );
}

function personEntry(meeting, person, name) {
  const you = person.userId === meeting.me;
  const open = you ? meeting.wantsAudio : person.audio;
  const state = h(
    "span",
    {
      class: person.talking && open ? "state on" : "state",
      role: "img",
      "aria-label": open ? "Microphone on" : "Microphone off",
    },
    icon(open ? "mic" : "mic-off"),
  );
  const mute = h(
    "button",
    {
      class: "compact",
      "data-key": `mute ${person.userId}`,
      "aria-label": `Mute ${name}`,
      onclick: () => attempt(() => meeting.mute(person.userId)),
    },
    icon("mic-off"),
    "Mute",
  );
  return h(
    "li",
    { "data-user": person.userId },
    avatar(person.userId, name),
    h(
      "div",
      { class: "who" },
      h("strong", {}, you ? `${name} (you)` : name),
      person.moderator && h("span", { class: "muted small" }, "Moderator"),
    ),
    meeting.isModerator && !you && open ? mute : state,
  );
}

function ending(meeting) {
  if (!meeting.isModerator) return null;
  const end = async () => {
    const sure = await confirmed("End the meeting?", "Everybody will be taken out of it.", "End for everybody");
    if (sure) await attempt(() => meeting.stop());
  };
  return h("button", { class: "compact", "data-key": "end", onclick: end }, "End meeting for everybody");
}

function keyOfFocus(element) {
  return element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
}

/** A list that is drawn anew must not throw a keyboard user back to the beginning of the page. */
function restoreFocus(element, key) {
  if (key === undefined) return;
  const again = element.querySelector(`[data-key="${CSS.escape(key)}"]`);
  (again ?? element.querySelector("button"))?.focus();
}
