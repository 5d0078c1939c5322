import { h } from "./dom.js";
import { hue, initials } from "./names.js";

/** Initials on a colour of the user's own. */
export function avatar(userId, name) {
  const element = h("div", { class: "avatar", "aria-hidden": "true" }, initials(name));
  element.style.setProperty("--hue", hue(userId));
  return element;
}
