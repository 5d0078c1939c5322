/**
 * parley.js: the client side of Parley, without any DOM. Import it from your own page:
 *
 * ```js
 * import { Api, Meeting } from "/web/js/parley.js";
 *
 * const api = new Api({ token });                       // a bearer JWT
 * const meeting = new Meeting(api, meetingId);
 * meeting.addEventListener("state", () => console.log(meeting.state));
 * meeting.addEventListener("streams", () => show(meeting.streams));   // Map "<userId>/video" -> MediaStream
 * for (const track of meeting.audioTracks) play(track); // the loudest speakers, one track each
 *
 * meeting.microphone = microphoneTrack;                 // from getUserMedia; null: listen only
 * await meeting.enter({ audio: true });                 // joins, or waits to be let in
 * await meeting.publish("video", cameraTrack);
 * addEventListener("pagehide", () => meeting.going());   // a reload comes back as the same person
 * await meeting.leave();
 * ```
 *
 * Layers, each usable alone:
 * - {@link Api}: one method per HTTP call; failures are {@link ApiError} or {@link NetworkError}.
 * - {@link Channel}: the durable event channel, read by pending GET.
 * - {@link Meeting}: joining, the waiting room, the four peer connections, and recovery of all of them (inside:
 *   admission.js for getting in and staying in, media.js for the connections, roster.js for who is there).
 *
 * @module parley
 */

export { Api } from "./parley/api.js";
export { ApiError, NetworkError } from "./parley/errors.js";
export { Channel } from "./parley/channel.js";
export { Meeting } from "./parley/meeting.js";
export { streamKey } from "./parley/sdp.js";
