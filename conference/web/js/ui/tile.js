import { avatar } from "./avatar.js";
import { h, icon } from "./dom.js";

const STILL = "paused because your connection is too slow";

/** One picture in the grid: a person, or a screen that somebody shares. */
export class Tile {
  #video = h("video", { autoplay: true, playsinline: true });
  #label = h("span", { dir: "auto" });
  #muted = icon("mic-off");
  #paused = h("p", { class: "paused", hidden: true }, "Paused: your connection is too slow");
  #avatar = null;
  #name = "";

  /** @param {string} userId @param {"video"|"screen"} kind */
  constructor(userId, kind) {
    this.userId = userId;
    this.kind = kind;
    this.#video.muted = true; // sound comes on connections of its own
    this.element = h(
      "article",
      { class: "tile", "data-user": userId, "data-kind": kind },
      this.#video,
      this.#paused,
      h("div", { class: "name" }, this.#muted, this.#label),
      kind === "screen" && this.#enlarging(),
    );
  }

  /** The whole display for a shared screen; on a phone, turned to its wide side where that can be done. */
  #enlarging() {
    const enlarge = async () => {
      if (document.fullscreenElement) return await document.exitFullscreen();
      if (!this.element.requestFullscreen) return this.#video.webkitEnterFullscreen?.();
      await this.element.requestFullscreen();
      await screen.orientation?.lock?.("landscape").catch(() => {}); // desktops have one orientation
    };
    const button = h("button", { type: "button", class: "compact enlarge", onclick: enlarge }, icon("enlarge"));
    button.append(h("span", {}, "Enlarge"));
    this.#video.addEventListener("dblclick", enlarge);
    return button;
  }

  /**
   * @param {{name: string, you?: boolean, muted?: boolean, talking?: boolean, stream?: MediaStream|null,
   *          paused?: boolean}} what `paused`: the picture stands still, because our link does not carry it
   */
  update({ name, you = false, muted = false, talking = false, stream = null, paused = false }) {
    this.#rename(name, you);
    this.#muted.toggleAttribute("hidden", !muted);
    this.element.classList.toggle("talking", talking && !muted);
    this.element.classList.toggle("own", you);
    this.element.classList.toggle("mirrored", you && this.kind === "video");
    if (this.#video.srcObject !== stream) this.#video.srcObject = stream;
    this.#video.hidden = !stream;
    this.#paused.hidden = !paused;
    const described = this.#describe(name, you, muted, stream);
    this.element.setAttribute("aria-label", paused ? `${described}, ${STILL}` : described);
  }

  remove() {
    this.#video.srcObject = null;
    this.element.remove();
  }

  #rename(name, you) {
    if (this.#name !== name) {
      this.#name = name;
      this.#avatar?.remove();
      this.#avatar = this.kind === "video" ? avatar(this.userId, name) : null;
      if (this.#avatar) this.element.prepend(this.#avatar);
    }
    const after = this.kind === "screen" ? "’s screen" : you ? " (you)" : "";
    if (this.#label.textContent !== name + after) this.#label.textContent = name + after;
  }

  #describe(name, you, muted, stream) {
    if (this.kind === "screen") return `${name}’s screen`;
    return `${you ? "You" : name}, microphone ${muted ? "off" : "on"}, camera ${stream ? "on" : "off"}`;
  }
}
