import { h, icon } from "./dom.js";

/**
 * The panel at the side (from below on a phone), which shows one of several contents or nothing.
 * @typedef {{title: string, element: HTMLElement, update: () => void, open?: () => void, close?: () => void}} Content
 */
export class SidePanel {
  #contents;
  #onClose;
  #current = null;
  #opener = null;
  #title = h("h2", { tabindex: "-1" });
  #body = h("div");

  /** @param {Record<string, Content>} contents by name @param {() => void} [onClose] by the user, in the panel */
  constructor(contents, onClose = () => {}) {
    this.#contents = contents;
    this.#onClose = onClose;
    const close = h(
      "button",
      {
        type: "button",
        class: "quiet round compact",
        "aria-label": "Close panel",
        title: "Close (Esc)",
        onclick: () => this.hide(),
      },
      icon("close"),
    );
    this.element = h("aside", {
      class: "side",
      hidden: true,
      "aria-label": "Side panel",
    }, h("header", {}, this.#title, close), this.#body);
  }

  /** Shows the content, or hides it when it is shown. @param {HTMLElement} opener gets the focus back */
  toggle(name, opener) {
    const again = this.#current === this.#contents[name];
    this.close();
    if (again) return;
    this.#current = this.#contents[name];
    this.#opener = opener;
    this.#title.textContent = this.#current.title;
    this.#body.replaceChildren(this.#current.element);
    this.element.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    this.#current.open?.();
    this.#current.update();
    this.#title.focus();
  }

  shows(name) {
    return this.#current === this.#contents[name];
  }

  update() {
    if (this.#current && !this.#current.open) this.#current.update();
  }

  close() {
    this.#current?.close?.();
    this.#opener?.setAttribute("aria-expanded", "false");
    this.#current = null;
    this.element.hidden = true;
  }

  /** By the user; the focus goes back to where it came from. */
  hide() {
    if (!this.#current) return;
    this.close();
    this.#onClose();
    this.#opener?.focus();
  }
}
