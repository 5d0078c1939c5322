import { h, svg } from "./dom.js";

const KEPT = 60;
const INTERVAL = 1000;
const WIDTH = 300;
const HEIGHT = 36;

/**
 * Bitrate, loss and resolution of every stream, as text and as a minute of history.
 * @param {import("../parley.js").Meeting} meeting
 * @param {import("./names.js").Names} names
 * @returns {{title: string, element: HTMLElement, update: () => void, open: () => void, close: () => void}}
 */
export function statsPanel(meeting, names) {
  const element = h("div", { class: "panel-body figures" });
  const history = new Map();
  let timer;
  const update = async () => {
    const figures = await meeting.figures();
    for (const id of history.keys()) {
      if (!figures.lines.some((line) => line.id === id)) history.delete(id);
    }
    const shown = figures.lines.filter((line) => line.packets > 0).sort((a, b) => rank(a) - rank(b));
    const rows = shown.map((line) => figure(line, remember(history, line), names));
    element.replaceChildren(roundTrip(figures.roundTrip), ...rows);
  };
  const open = () => {
    timer = setInterval(update, INTERVAL);
    update();
  };
  const close = () => clearInterval(timer);
  return { title: "Statistics", element, update, open, close };
}

/** What we send first, sound last. */
function rank({ direction, media }) {
  return (direction === "in" ? 2 : 0) + (media === "audio" ? 1 : 0);
}

function remember(history, line) {
  const past = history.get(line.id) ?? [];
  past.push({ bitrate: line.bitrate, loss: line.loss });
  if (past.length > KEPT) past.shift();
  history.set(line.id, past);
  return past;
}

function roundTrip(seconds) {
  const text = seconds === undefined ? "–" : `${Math.round(seconds * 1000)} ms`;
  return h("p", { class: "small" }, h("span", { class: "muted" }, "Round trip to the media server: "), text);
}

function figure(line, past, names) {
  const pairs = [
    ["Loss", percent(line.loss), line.loss > 0.02],
    line.width && ["Picture", `${line.width} × ${line.height}`],
    line.frameRate && ["Rate", `${Math.round(line.frameRate)} /s`],
  ].filter(Boolean);
  return h(
    "section",
    { class: "figure", "data-source": line.source, "data-direction": line.direction },
    h("div", { class: "title" }, h("span", {}, title(line, names)), h("span", {}, bits(line.bitrate))),
    plot(past),
    h("dl", {}, ...pairs.map(([name, value, bad]) => pair(name, value, bad))),
  );
}

function pair(name, value, bad) {
  return h("div", {}, h("dt", {}, name), h("dd", { class: bad && "bad" }, value));
}

function title({ direction, source, media }, names) {
  if (direction === "out") return OWN[source];
  if (media === "audio") return "Sound of a speaker";
  const [userId, type] = source.split("/");
  if (!type) return "Video";
  return type === "screen" ? `${names.of(userId)}’s screen` : names.of(userId);
}

const OWN = { audio: "Your microphone", video: "Your camera", screen: "Your screen" };

/** Bitrate as a curve, loss as bars from below: 10 % fills the height. */
function plot(past) {
  const top = Math.max(1, ...past.map(({ bitrate }) => bitrate));
  const step = WIDTH / (KEPT - 1);
  const left = WIDTH - (past.length - 1) * step;
  const points = past.map(({ bitrate }, n) => [left + n * step, HEIGHT - 2 - (bitrate / top) * (HEIGHT - 4)]);
  const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const bars = past
    .map(({ loss }, n) => ({ x: left + n * step - 1, height: Math.min(1, loss * 10) * HEIGHT }))
    .filter(({ height }) => height > 0)
    .map(({ x, height }) => svg("rect", { class: "loss", x, y: HEIGHT - height, width: 2, height }));
  return svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polygon", { class: "area", points: `${left},${HEIGHT} ${line} ${WIDTH},${HEIGHT}` }),
    svg("polyline", { class: "line", points: line }),
    ...bars,
  );
}

function bits(rate) {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(1)} Mbit/s` : `${Math.round(rate / 1000)} kbit/s`;
}

function percent(share) {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
