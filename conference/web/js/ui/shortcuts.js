import { h } from "./dom.js";

const SHORTCUTS = [
  ["M", "Microphone on or off"],
  ["V", "Camera on or off"],
  ["S", "Share your screen, or stop"],
  ["P", "People"],
  ["I", "Statistics"],
  ["Esc", "Close the panel"],
  ["?", "This list"],
];

/** Shows which keys do what. */
export function shortcutsDialog() {
  if (document.querySelector("dialog[open]")) return;
  const rows = SHORTCUTS.map(([key, what]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, what)));
  const dialog = h(
    "dialog",
    { class: "shortcuts", "aria-labelledby": "shortcuts-title" },
    h("h2", { id: "shortcuts-title" }, "Keyboard shortcuts"),
    h("table", {}, h("tbody", {}, ...rows)),
    h("div", { class: "actions" }, h("button", { onclick: () => dialog.close() }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
