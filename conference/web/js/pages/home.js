import { copy, confirmed, h, icon, person, show, toast } from "../ui/dom.js";
import { Follower } from "../ui/follower.js";
import { page } from "../ui/frame.js";
import { forgetToken } from "../ui/identity.js";

/**
 * The user's meetings, and a form for a new one.
 * @param {import("../parley/api.js").Api} api
 */
export async function homePage(api) {
  document.title = "Parley";
  const list = h("div", {}, h("p", { class: "muted" }, "Loading…"));
  const reload = () => fill(list, api, reload);
  const greeting = api.userName ? ["Hello, ", person(api.userName)] : ["Hello"];
  show(
    page(
      h(
        "main",
        { class: "column" },
        h("h1", {}, ...greeting),
        creationForm(api, reload),
        h("section", { "aria-label": "Your meetings" }, h("h2", {}, "Your meetings"), list),
      ),
    ),
  );
  await new Follower(api, reload).open();
  await reload();
}

async function fill(list, api, reload) {
  try {
    const meetings = await api.meetings();
    meetings.sort((a, b) => Number(b.active) - Number(a.active) || b.createdAt.localeCompare(a.createdAt));
    const focused = list.contains(document.activeElement) && document.activeElement.dataset.key;
    list.replaceChildren(meetings.length ? meetingList(meetings, api, reload) : emptyList());
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  } catch (error) {
    list.replaceChildren(complaint(error, reload));
  }
}

function complaint(error, reload) {
  if (error.status === 401) {
    const again = () => {
      forgetToken();
      location.reload();
    };
    return h(
      "div",
      { class: "empty" },
      h("p", {}, "Your access has expired or is not known here."),
      h("button", { class: "compact", onclick: again }, "Use another token"),
    );
  }
  return h(
    "div",
    { class: "empty" },
    h("p", {}, `${error.message}.`),
    h("button", { class: "compact", onclick: reload }, "Try again"),
  );
}

function emptyList() {
  return h("p", { class: "empty" }, "No meetings yet. Create one above and send its link around.");
}

function meetingList(meetings, api, reload) {
  return h("ul", { class: "meetings" }, ...meetings.map((meeting) => entry(meeting, api, reload)));
}

function entry(meeting, api, reload) {
  const path = `/join/${meeting.joinCode}`;
  const link = new URL(path, location.origin).href;
  const copyButton = h(
    "button",
    {
      type: "button",
      class: "compact",
      "data-key": `copy ${meeting.id}`,
      "aria-label": `Copy link of ${meeting.name}`,
    },
    icon("link"),
    "Copy link",
  );
  copyButton.addEventListener("click", () => copy(link, copyButton));
  const remove = async () => {
    const end = meeting.active ? "Whoever is in it is taken out, and its link" : "Its link";
    const sure = await confirmed(`Delete “${meeting.name}”?`, `${end} will no longer work.`, "Delete");
    if (!sure) return;
    await api.remove(meeting.id).catch((error) => toast(error.message));
    await reload();
  };
  return h(
    "li",
    {},
    h(
      "div",
      { class: "what" },
      h("strong", { dir: "auto" }, meeting.name),
      h("span", { class: "muted small" }, describe(meeting)),
    ),
    h("div", { class: "chips" }, ...chips(meeting)),
    h(
      "div",
      { class: "buttons" },
      meeting.userType === "moderator" && deleteButton(meeting, remove),
      copyButton,
      wayIn(meeting, path),
    ),
  );
}

function chips({ active, waiting }) {
  const state = h("span", { class: active ? "chip live" : "chip" }, active ? "Running" : "Not started");
  return [state, waiting > 0 && h("span", { class: "chip trouble" }, `${waiting} waiting`)].filter(Boolean);
}

function wayIn({ id, active, name }, path) {
  const word = active ? "Join" : "Open";
  const attributes = { href: path, "data-key": `open ${id}`, "aria-label": `${word} ${name}` };
  return h("a", { class: active ? "button compact primary" : "button compact", ...attributes }, word);
}

function deleteButton({ id, name }, onclick) {
  const attributes = { type: "button", "data-key": `delete ${id}`, "aria-label": `Delete ${name}` };
  return h("button", { class: "compact quiet", ...attributes, onclick }, "Delete");
}

function describe(meeting) {
  const kind = meeting.meetingType === "scheduled" ? "With a waiting room" : "For its members";
  const count = meeting.participants?.length ?? 0;
  return meeting.active && count ? `${kind} · ${count} ${count === 1 ? "person" : "people"} in` : kind;
}

function creationForm(api, reload) {
  const name = h("input", {
    name: "name",
    required: true,
    maxlength: "100",
    placeholder: "Weekly planning",
    autocomplete: "off",
  });
  const kind = (value, text, checked) =>
    h("label", {}, h("input", { type: "radio", name: "kind", value, checked }), text);
  const submit = async (event) => {
    event.preventDefault();
    const meetingType = new FormData(form).get("kind");
    try {
      await api.createMeeting({ name: name.value.trim(), meetingType });
      form.reset();
      await reload();
    } catch (error) {
      toast(error.message);
    }
  };
  const form = h(
    "form",
    { class: "card new-meeting", onsubmit: submit },
    h("label", {}, "New meeting", name),
    h("button", { class: "primary" }, icon("plus"), "Create"),
    h(
      "fieldset",
      { class: "choice" },
      h("legend", { class: "visually-hidden" }, "Who may come in"),
      kind("scheduled", "Anyone with the link, through a waiting room", true),
      kind("permanent", "Members only, added through the API"),
    ),
  );
  return form;
}
