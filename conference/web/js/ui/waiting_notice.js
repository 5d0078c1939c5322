import { h, person, toast } from "./dom.js";
import { chime } from "./loudness.js";
import { attempt } from "./people_panel.js";

/** Tells a moderator that somebody waits, with the decision at hand. One message for all who wait. */
export class WaitingNotice {
  #meeting;
  #names;
  #showList;
  #shown = "";
  #remove = () => {};
  #listeners = new AbortController();

  /** @param {() => void} showList opens the list of people */
  constructor(meeting, names, showList) {
    this.#meeting = meeting;
    this.#names = names;
    this.#showList = showList;
    meeting.addEventListener("knock", () => chime(), { signal: this.#listeners.signal });
  }

  /** @param {boolean} listed whether the list of who waits is open anyway */
  update(listed) {
    const { waiting } = this.#meeting;
    const text = listed ? [] : this.#text(waiting);
    const key = text.map((part) => part.textContent ?? part).join("");
    if (key === this.#shown) return;
    this.#remove();
    this.#remove = () => {};
    this.#shown = key;
    if (key) this.#remove = toast(text, { buttons: this.#buttons(waiting) });
  }

  close() {
    this.#listeners.abort();
    this.#remove();
  }

  #text(waiting) {
    if (waiting.length === 0) return [];
    if (waiting.length > 1) return [`${waiting.length} people are waiting to be let in.`];
    return [person(this.#names.of(waiting[0])), " is waiting to be let in."];
  }

  #buttons(waiting) {
    if (waiting.length > 1) {
      return [h("button", { class: "compact primary", onclick: this.#showList }, "See who")];
    }
    const [userId] = waiting;
    const decide = (action) => () => attempt(() => this.#meeting[action](userId));
    return [
      h("button", { class: "compact", onclick: decide("reject") }, "Reject"),
      h("button", { class: "compact primary", onclick: decide("admit") }, "Admit"),
    ];
  }
}
