import { choices, choose } from "./identity.js";

const CONSTRAINTS = {
  microphone: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  camera: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
};
const KINDS = { microphone: "audioinput", camera: "videoinput", speaker: "audiooutput" };

/**
 * Camera and microphone of this machine. Either may be missing or refused: then its track stays null and
 * its problem says why.
 *
 * Events: `change` (a track, a problem, or the list of devices changed), `lost` (detail: what to tell the
 * user about a device that went away).
 */
export class Devices extends EventTarget {
  /** @type {{camera: MediaStreamTrack|null, microphone: MediaStreamTrack|null}} */
  tracks = { camera: null, microphone: null };
  /** Why a device cannot be used, in words for the user. */
  problems = { camera: "", microphone: "" };
  #list = [];
  #refresh = () => this.#readList();

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener("devicechange", this.#refresh);
  }

  /**
   * The devices of a kind, once the user has allowed one.
   * @param {"camera"|"microphone"|"speaker"} kind
   * @returns {MediaDeviceInfo[]}
   */
  list(kind) {
    return this.#list.filter((each) => each.kind === KINDS[kind] && each.deviceId);
  }

  chosen(kind) {
    return choices()[kind] ?? "";
  }

  /**
   * Turns a device on. @param {"camera"|"microphone"} kind
   * @returns {Promise<MediaStreamTrack|null>} null: it cannot be had, see problems
   */
  async open(kind) {
    if (this.tracks[kind]?.readyState === "live") return this.tracks[kind];
    try {
      this.#adopt(kind, await this.#request(kind));
    } catch (error) {
      this.problems[kind] = explain(kind, error);
    }
    await this.#readList();
    return this.tracks[kind];
  }

  /** Turns a device off: its light goes out. */
  close(kind) {
    this.tracks[kind]?.stop();
    this.tracks[kind] = null;
    this.#changed();
  }

  /** Remembers a choice, and changes to it if the device is on. Speakers are only remembered. */
  async choose(kind, deviceId) {
    choose({ [kind]: deviceId });
    if (!this.tracks[kind]) return this.#changed();
    this.close(kind);
    await this.open(kind);
  }

  /** Turns everything off. */
  release() {
    navigator.mediaDevices?.removeEventListener("devicechange", this.#refresh);
    for (const kind of ["camera", "microphone"]) this.close(kind);
  }

  /** The chosen device, or any other when that one is not there. */
  async #request(kind) {
    if (!navigator.mediaDevices) throw new DOMException("no secure context", "SecurityError");
    const deviceId = this.chosen(kind);
    if (!deviceId) return await capture(kind);
    try {
      return await capture(kind, { deviceId: { exact: deviceId } });
    } catch (error) {
      if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
      return await capture(kind);
    }
  }

  #adopt(kind, track) {
    this.problems[kind] = "";
    this.tracks[kind] = track;
    track.addEventListener("ended", () => {
      if (this.tracks[kind] !== track) return;
      this.problems[kind] = `The ${kind} was unplugged or taken away.`;
      this.close(kind);
      this.dispatchEvent(new CustomEvent("lost", { detail: this.problems[kind] }));
    });
  }

  async #readList() {
    this.#list = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {MediaTrackConstraints} [further] @returns {Promise<MediaStreamTrack>} */
async function capture(kind, further) {
  const media = kind === "camera" ? "video" : "audio";
  const constraints = { [media]: { ...CONSTRAINTS[kind], ...further } };
  const stream = await navigator.mediaDevices.getUserMedia(constraints);
  return stream.getTracks()[0];
}

function explain(kind, { name }) {
  if (name === "NotFoundError" || name === "OverconstrainedError") return `No ${kind} was found.`;
  if (name === "NotAllowedError") {
    return `Your browser does not allow the ${kind} here. Change it with the icon at the left of the address bar.`;
  }
  if (name === "NotReadableError") return `Another program is using the ${kind}.`;
  if (name === "SecurityError") return `The ${kind} needs a secure address (https).`;
  return `The ${kind} did not start.`;
}
