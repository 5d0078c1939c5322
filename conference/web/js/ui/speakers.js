import { choices } from "./identity.js";
import { h } from "./dom.js";

/**
 * Plays the meeting's audio tracks. Browsers may hold sound back until the user has done something:
 * then `blocked` is true until {@link Speakers#unblock} is called from a click.
 *
 * Events: `change` (blocked changed).
 */
export class Speakers extends EventTarget {
  blocked = false;
  #elements = [];

  /** @param {MediaStreamTrack[]} tracks */
  play(tracks) {
    this.stop();
    this.#elements = tracks.map((track) => {
      const element = h("audio", { autoplay: true });
      element.srcObject = new MediaStream([track]);
      return element;
    });
    this.#start();
  }

  /** Call it from a click or a key press. */
  unblock() {
    this.#start();
  }

  stop() {
    for (const element of this.#elements) {
      element.pause();
      element.srcObject = null;
    }
    this.#elements = [];
  }

  async #start() {
    const { speaker } = choices();
    const elements = this.#elements;
    const outcomes = await Promise.allSettled(
      elements.map(async (element) => {
        if (speaker && element.setSinkId) await element.setSinkId(speaker).catch(() => {});
        await element.play();
      }),
    );
    if (elements !== this.#elements) return; // other tracks have come meanwhile
    this.blocked = outcomes.some(({ reason }) => reason?.name === "NotAllowedError");
    this.dispatchEvent(new Event("change"));
  }
}
