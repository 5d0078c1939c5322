import { h } from "./dom.js";
import { Tile } from "./tile.js";

/** All pictures of a meeting: people in a grid, and shared screens large, with the people beside them. */
export class Stage {
  #tiles = new Map();
  #focus = h("div", { class: "focus" });
  #grid = h("div", { class: "grid", role: "group", "aria-label": "People" });
  #observer = new ResizeObserver(() => this.#arrange());

  constructor() {
    this.element = h("main", { class: "stage", "aria-label": "Participants" }, this.#focus, this.#grid);
    this.#observer.observe(this.#grid);
  }

  /**
   * Shows exactly these pictures, in this order.
   * @param {{key: string, userId: string, kind: "video"|"screen", name: string, you?: boolean,
   *          muted?: boolean, talking?: boolean, stream?: MediaStream|null, paused?: boolean}[]} pictures
   */
  update(pictures) {
    const keys = new Set(pictures.map(({ key }) => key));
    for (const [key, tile] of this.#tiles) if (!keys.has(key)) this.#drop(key, tile);
    for (const picture of pictures) this.#tileFor(picture).update(picture);
    this.#order(this.#focus, pictures, "screen");
    this.#order(this.#grid, pictures, "video");
    this.element.classList.toggle("focused", this.#focus.children.length > 0);
    this.#arrange();
  }

  close() {
    this.#observer.disconnect();
    this.update([]);
  }

  #drop(key, tile) {
    tile.remove();
    this.#tiles.delete(key);
  }

  #tileFor({ key, userId, kind }) {
    if (!this.#tiles.has(key)) this.#tiles.set(key, new Tile(userId, kind));
    return this.#tiles.get(key);
  }

  /** Moves only what is out of place: moving a video element makes it flicker. */
  #order(parent, pictures, kind) {
    const wanted = pictures.filter((each) => each.kind === kind).map(({ key }) => this.#tiles.get(key).element);
    wanted.forEach((element, n) => {
      if (parent.children[n] !== element) parent.insertBefore(element, parent.children[n] ?? null);
    });
  }

  #arrange() {
    const { scrollWidth, scrollHeight } = this.#grid;
    const scrolls = scrollWidth > this.#grid.clientWidth || scrollHeight > this.#grid.clientHeight;
    if (scrolls && this.element.classList.contains("focused")) this.#grid.tabIndex = 0; // to scroll by keyboard
    else this.#grid.removeAttribute("tabindex");
    const all = [...this.#grid.children];
    const small = NARROW.matches && all.length > 1 && all.find((tile) => tile.classList.contains("own"));
    const tiles = all.filter((tile) => tile !== small);
    const { clientWidth, clientHeight } = this.#grid;
    const { columns, width, height } = arrangement(tiles.length, clientWidth, clientHeight);
    this.#grid.style.setProperty("--columns", columns);
    this.#grid.style.setProperty("--tile-width", `${width}px`);
    this.#grid.style.setProperty("--tile-height", `${height}px`);
    const inLastRow = tiles.length % columns;
    tiles.forEach((tile, n) => {
      tile.classList.toggle("first-of-last-row", inLastRow > 0 && n === tiles.length - inLastRow);
      tile.style.setProperty("--start", columns - inLastRow + 1);
    });
  }
}

/** Where one's own picture lies small upon the others'. The style sheet has the same bound. */
const NARROW = matchMedia("(max-width: 760px)");
const GAP = 12;
const WIDEST = 1.9;

/**
 * How many columns, and how large each tile, so that tiles are as large as they can be without cutting too
 * much off a camera's picture. On a tall stage (a phone) tiles may be tall as well.
 */
export function arrangement(count, stageWidth, stageHeight) {
  const tallest = stageHeight > stageWidth ? 1.3 : 0.72;
  let best = { columns: 1, width: stageWidth, height: stageHeight, area: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (stageWidth - GAP * (columns - 1)) / columns;
    const cellHeight = (stageHeight - GAP * (rows - 1)) / rows;
    const width = Math.floor(Math.min(cellWidth, cellHeight * WIDEST));
    const height = Math.floor(Math.min(cellHeight, cellWidth * tallest));
    if (width * height > best.area) best = { columns, width, height, area: width * height };
  }
  return best;
}
