import { avatar } from "./avatar.js";
import { confirmed, h, icon, person as nameIn, toast } from "./dom.js";

/**
 * The list of people, and for moderators who waits, with what can be done about them.
 * @param {import("../parley.js").Meeting} meeting
 * @param {import("./names.js").Names} names
 * @returns {{title: string, element: HTMLElement, update: () => void}}
 */
export function peoplePanel(meeting, names) {
  const element = h("div", { class: "panel-body" });
  const unfolded = new Set(); // the people whose further actions are shown
  let drawn = "";
  const update = () => {
    const key = looks(meeting, names, unfolded);
    if (key === drawn) return markTalking(element, meeting);
    drawn = key;
    const focused = keyOfFocus(element);
    const parts = [
      waitingList(meeting, names),
      peopleList(meeting, names, { unfolded, update }),
      forEverybody(meeting),
    ];
    element.replaceChildren(...parts.filter(Boolean));
    restoreFocus(element, focused);
    markTalking(element, meeting);
  };
  return { title: "People", element, update };
}

/** All that the lists show, but for who talks: a button that is drawn anew under the mouse takes no click. */
function looks({ isModerator, wantsAudio, waiting, people }, names, unfolded) {
  const waits = waiting.map((userId) => [userId, names.of(userId)]);
  const inside = people.map(({ userId, audio, moderator }) => [userId, names.of(userId), audio, moderator]);
  return JSON.stringify([isModerator, wantsAudio, waits, inside, [...unfolded]]);
}

function markTalking(element, { people }) {
  for (const { userId, talking } of people) {
    const state = element.querySelector(`[data-user="${userId}"] .state`);
    state?.classList.toggle("on", talking && state.getAttribute("aria-label") === "Microphone on");
  }
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
    h("div", { class: "who" }, h("strong", { dir: "auto" }, name)),
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

function peopleList(meeting, names, fold) {
  const isMe = ({ userId }) => Number(userId === meeting.me);
  const people = [...meeting.people].sort((a, b) => isMe(b) - isMe(a));
  const entries = people.map((person) => personEntry(meeting, person, names.of(person.userId), fold));
  return h(
    "section",
    { "aria-label": "In the meeting" },
    h("h3", {}, `In the meeting (${people.length})`),
    h("ul", { class: "people" }, ...entries),
  );
}

function personEntry(meeting, person, name, fold) {
  const you = person.userId === meeting.me;
  const open = you ? meeting.wantsAudio : person.audio;
  const state = h(
    "span",
    {
      class: "state",
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
      h("strong", { dir: "auto" }, you ? `${name} (you)` : name),
      person.moderator && h("span", { class: "muted small" }, "Moderator"),
    ),
    meeting.isModerator && !you && open ? mute : state,
    ...(meeting.isModerator && !you ? further(meeting, person, name, fold) : []),
  );
}

/** What a moderator does rarely: behind a button, so that it is not hit by mistake. */
function further(meeting, { userId, moderator }, name, { unfolded, update }) {
  const shown = unfolded.has(userId);
  const fold = () => {
    if (!unfolded.delete(userId)) unfolded.add(userId);
    update();
  };
  const more = h(
    "button",
    {
      class: "compact round quiet",
      "data-key": `more ${userId}`,
      "aria-label": `More about ${name}`,
      "aria-expanded": String(shown),
      onclick: fold,
    },
    icon("more"),
  );
  if (!shown) return [more];
  const action = (key, label, run) =>
    h("button", { class: "compact", "data-key": `${key} ${userId}`, "aria-label": `${label}: ${name}`, onclick: run }, label);
  const promote = () => attempt(() => meeting.setModerator(userId, !moderator));
  return [
    more,
    h(
      "div",
      { class: "buttons" },
      action("role", moderator ? "Take moderator’s rights" : "Make moderator", promote),
      action("remove", "Remove", () => remove(meeting, userId, name)),
    ),
  ];
}

async function remove(meeting, userId, name) {
  const text = "They are taken out, and come back only if they are let in again.";
  const sure = await confirmed(["Remove ", nameIn(name), "?"], text, "Remove");
  if (sure) await attempt(() => meeting.removePerson(userId));
}

function forEverybody(meeting) {
  if (!meeting.isModerator) return null;
  const loud = meeting.people.some(({ userId, audio }) => audio && userId !== meeting.me);
  const mute = h(
    "button",
    { class: "compact", "data-key": "mute-all", disabled: !loud, onclick: () => attempt(() => meeting.muteAll()) },
    icon("mic-off"),
    "Mute all",
  );
  return h("div", { class: "buttons" }, mute, ending(meeting));
}

function ending(meeting) {
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
