import { copy, confirmed, h, icon, show, toast } from "../ui/dom.js";
import { page } from "../ui/frame.js";
import { forgetToken } from "../ui/identity.js";

/**
 * The user's meetings, and a form for a new one.
 * @param {import("../parley/api.js").Api} api
 */
export async function homePage(api) {
  document.title = "Parley";
  const list = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Loading…"));
  const reload = () => fill(list, api, reload);
  const greeting = api.userName ? `Hello, ${api.userName}` : "Hello";
  show(
    page(
      h(
        "main",
        { class: "column" },
        h("h1", {}, greeting),
        creationForm(api, reload),
        h("section", { "aria-label": "Your meetings" }, h("h2", {}, "Your meetings"), list),
      ),
    ),
  );
  await reload();
}

async function fill(list, api, reload) {
  try {
    const meetings = await api.meetings();
    meetings.sort((a, b) => Number(b.active) - Number(a.active) || b.createdAt.localeCompare(a.createdAt));
    list.replaceChildren(meetings.length ? meetingList(meetings, api, reload) : emptyList());
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
  const copyButton = h("button", { type: "button", class: "compact" }, icon("link"), "Copy link");
  copyButton.addEventListener("click", () => copy(link, copyButton));
  const remove = async () => {
    const sure = await confirmed(`Delete “${meeting.name}”?`, "Its link will no longer work.", "Delete");
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
      h("strong", {}, meeting.name),
      h("span", { class: "muted small" }, describe(meeting)),
    ),
    h("span", { class: meeting.active ? "chip live" : "chip" }, meeting.active ? "Running" : "Not started"),
    copyButton,
    h("a", { class: "button compact primary", href: path, "aria-label": `Open ${meeting.name}` }, "Open"),
    h(
      "button",
      {
        type: "button",
        class: "compact quiet round",
        "aria-label": `Delete ${meeting.name}`,
        title: "Delete",
        onclick: remove,
      },
      icon("close"),
    ),
  );
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
