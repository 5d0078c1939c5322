/** Building and replacing elements; the two ways to tell the user something in passing. */

/**
 * An element. Attributes: `class`, `on…` handlers (functions), booleans, and everything else as given.
 * @param {string} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node|string|null|false|undefined)} children
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  const present = (child) => child !== null && child !== undefined && child !== false;
  element.append(...children.flat().filter(present));
  return element;
}

function set(element, key, value) {
  if (value === undefined || value === null || value === false) return;
  if (typeof value === "function") element.addEventListener(key.slice(2), value);
  else element.setAttribute(key, value === true ? "" : String(value));
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Somebody's name within a sentence: whatever its direction, the words around it keep theirs. */
export function person(name) {
  return h("bdi", { class: "person" }, name);
}

/** One picture of icons.svg, hidden from screen readers: the control around it has the name. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `/web/icons.svg#${name}` }));
}

export function setIcon(element, name) {
  element.querySelector("use").setAttribute("href", `/web/icons.svg#${name}`);
}

/** Shows a page in place of the one before. */
export function show(...nodes) {
  document.getElementById("app").replaceChildren(...nodes);
}

/** Says something to screen readers only. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/**
 * A passing message. Stays until its action is taken when it has buttons and no time is given. A focus in it goes
 * to the next message, or to the page's heading, when it goes.
 * @param {string|(string|Node)[]} text
 * @param {{buttons?: HTMLElement[], ms?: number}} [options]
 * @returns {() => void} takes it away
 */
export function toast(text, { buttons = [], ms = buttons.length ? 0 : 6000 } = {}) {
  const role = buttons.length ? "alert" : "status";
  const actions = buttons.length > 0 && h("div", { class: "buttons" }, ...buttons);
  const element = h("div", { class: "toast", role }, h("p", {}, text), actions);
  const remove = () => {
    const focused = element.contains(document.activeElement);
    element.remove();
    if (focused) document.querySelector("#toasts button, h1")?.focus();
  };
  document.getElementById("toasts").append(element);
  if (ms) setTimeout(remove, ms);
  return remove;
}

/**
 * Asks before something that cannot be undone. @param {string|(string|Node)[]} title @returns {Promise<boolean>}
 */
export function confirmed(title, text, action) {
  return new Promise((resolve) => {
    const close = (answer) => () => dialog.close(answer);
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title", onclose: () => finish() },
      h("h2", { id: "dialog-title" }, title),
      h("p", { class: "muted" }, text),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: close("") }, "Cancel"),
        h("button", { type: "button", class: "danger", onclick: close("yes") }, action),
      ),
    );
    const finish = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Copies text, and says so on the button for a moment. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Link copied. Send it to the people you want to meet.", { ms: 3500 });
  } catch {
    prompt("Copy this link:", text); // no clipboard outside of secure contexts
  }
  button?.focus();
}
