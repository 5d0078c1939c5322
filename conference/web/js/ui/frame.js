import { choices, choose } from "./identity.js";
import { h, icon } from "./dom.js";

/** What pages share: the bar at the top, the theme, and pages that only say something. */

const NEXT_THEME = { auto: "light", light: "dark", dark: "auto" };

export function applyTheme() {
  const { theme = "auto" } = choices();
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function themeButton() {
  const label = () => `Colours: ${choices().theme ?? "auto"}`;
  const button = h("button", {
    type: "button",
    class: "quiet round",
    title: label(),
    "aria-label": label(),
  }, icon("theme"));
  button.addEventListener("click", () => {
    choose({ theme: NEXT_THEME[choices().theme ?? "auto"] });
    applyTheme();
    button.title = label();
    button.setAttribute("aria-label", label());
  });
  return button;
}

export function brand() {
  return h("a", { class: "brand", href: "/" }, h("img", { src: "/web/favicon.svg", alt: "" }), "Parley");
}

/** A page with the bar on top. */
export function page(...content) {
  const bar = h("header", { class: "bar" }, brand(), h("span", { class: "spacer" }), themeButton());
  return h("div", { class: "page" }, bar, ...content);
}

/**
 * A page that says one thing, with what can be done about it.
 * @param {{emblem: string, mood?: "waiting"|"bad"|"", title: string,
 *          text: (Node|string)[]|string, actions?: HTMLElement[]}} parts
 */
export function messagePage({ emblem, mood = "", title, text, actions = [] }) {
  const paragraph = (each) => (each instanceof Node ? each : h("p", { class: "muted" }, each));
  const paragraphs = [text].flat().map(paragraph);
  document.title = `${title} · Parley`;
  return page(
    h(
      "main",
      { class: "message" },
      h("div", { class: `emblem ${mood}` }, icon(emblem)),
      h("h1", { tabindex: "-1" }, title),
      ...paragraphs,
      actions.length > 0 && h("div", { class: "actions" }, ...actions),
    ),
  );
}
