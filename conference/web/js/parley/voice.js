import { Publishing } from "./publishing.js";
import { Sequence, patiently } from "./timing.js";

/**
 * The audio connection: one m-line to speak and hear on, and further ones to hear more speakers at once.
 * One enters muted; whether we want to be heard is told to the server as soon as it can be told.
 *
 * Events: `state`, `tracks`, `wanted` ({@link Voice#wanted} changed), `refused` (detail: the error).
 */
export class Voice extends EventTarget {
  #api;
  #id;
  #connection;
  #calls = new Sequence();
  #offers = new Sequence();
  #told;
  #microphone = null;

  /** @param {number} slots how many speakers can be heard at once */
  constructor(api, meetingId, slots) {
    super();
    this.#api = api;
    this.#id = meetingId;
    /** Whether we want to be heard. */
    this.wanted = false;
    /** One track for each slot. @type {MediaStreamTrack[]} */
    this.tracks = [];
    this.#connection = new Publishing({
      build: (pc) => this.#build(pc, slots),
      send: (sdp) => this.#offers.run(() => api.offerAudio(meetingId, sdp)),
    });
    this.#connection.addEventListener("state", () => this.#changed());
    this.#connection.addEventListener("refused", ({ detail }) => this.#emit("refused", detail));
  }

  get state() {
    return this.#connection.state;
  }

  get trouble() {
    return this.#connection.trouble;
  }

  get pc() {
    return this.#connection.pc;
  }

  get microphone() {
    return this.#microphone;
  }

  /** The track to speak with, or null; takes effect without a negotiation. */
  set microphone(track) {
    this.#microphone = track;
    if (track) track.enabled = this.wanted;
    this.pc?.getTransceivers()[0]?.sender.replaceTrack(track);
  }

  open() {
    this.#connection.open();
  }

  close() {
    this.#connection.close();
  }

  answer(sdp) {
    this.#connection.answer(sdp);
  }

  heed(event) {
    this.#connection.heed(event);
  }

  /** Opens or closes our microphone. */
  want(enabled) {
    this.#become(enabled);
    return this.#tell();
  }

  /** Somebody else closed it at the server. */
  wasMuted() {
    this.#told = false;
    this.#become(false);
  }

  #build(pc, slots) {
    pc.addTransceiver(this.#microphone ?? "audio", { direction: "sendrecv" });
    for (let n = 1; n < slots; n++) pc.addTransceiver("audio", { direction: "recvonly" });
    this.tracks = pc.getTransceivers().map((each) => each.receiver.track);
    this.#emit("tracks");
  }

  #changed() {
    if (this.state === "connecting") this.#told = undefined; // the server may have begun anew as well
    if (this.state === "connected") this.#tell();
    this.#emit("state");
  }

  #become(enabled) {
    this.wanted = enabled;
    if (this.#microphone) this.#microphone.enabled = enabled;
    this.#emit("wanted");
  }

  /** In the order of our changes; one that is overtaken before its turn is not told. */
  #tell() {
    return this.#calls.run(async () => {
      const enabled = this.wanted;
      if (this.state !== "connected" || this.#told === enabled) return;
      try {
        await patiently(() => this.#api.setAudio(this.#id, enabled), { tries: 4 });
        this.#told = enabled;
      } catch (error) {
        this.#emit("refused", error);
      }
    });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
