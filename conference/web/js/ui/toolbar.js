import { h, icon, setIcon } from "./dom.js";

/**
 * @typedef {object} Tool
 * @property {string} id
 * @property {string} label what it stands for, the same in every state
 * @property {string} icon
 * @property {string} [key] the letter that does the same
 * @property {string} [class]
 * @property {() => void} run
 */

/** The row of buttons, and their letters on the keyboard. */
export class Toolbar {
  #buttons = new Map();
  #keys;

  /** @param {Tool[]} tools */
  constructor(tools) {
    this.element = h("section", { class: "toolbar", "aria-label": "Meeting controls" });
    for (const tool of tools) this.element.append(this.#make(tool));
    const byKey = new Map(tools.filter((tool) => tool.key).map((tool) => [tool.key, tool]));
    this.#keys = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
      const tool = byKey.get(event.key.toLowerCase());
      if (!tool || this.#buttons.get(tool.id).disabled) return;
      event.preventDefault();
      tool.run();
    };
    document.addEventListener("keydown", this.#keys);
  }

  /** @returns {HTMLButtonElement} */
  button(id) {
    return this.#buttons.get(id);
  }

  /** A button that is on or off. @param {{on: boolean, icon: string, hint: string}} look */
  press(id, { on, icon: name, hint }) {
    const button = this.#buttons.get(id);
    setIcon(button, name);
    button.setAttribute("aria-pressed", String(on));
    this.hint(id, hint);
  }

  hint(id, text) {
    const button = this.#buttons.get(id);
    const { key } = button.dataset;
    button.dataset.hint = key ? `${text} (${key.toUpperCase()})` : text;
  }

  close() {
    document.removeEventListener("keydown", this.#keys);
  }

  #make({ id, label, icon: name, key, class: kind = "", run }) {
    const attributes = {
      type: "button",
      class: `tool ${kind}`,
      "data-tool": id,
      "aria-label": label,
      onclick: run,
    };
    const button = h("button", attributes, icon(name), h("span", { class: "word", "aria-hidden": "true" }, label));
    if (key) {
      button.dataset.key = key;
      button.setAttribute("aria-keyshortcuts", key.toUpperCase());
    }
    this.#buttons.set(id, button);
    this.hint(id, label);
    return button;
  }
}

function isTyping(target) {
  return target instanceof Element && target.closest("input, textarea, select, dialog") !== null;
}
