import { h } from "./dom.js";
import { Tile } from "./tile.js";

/** All pictures of a meeting: people in a grid, and shared screens large, with the people beside them. */
export class Stage {
  #tiles = new Map();
  #focus = h("div", { class: "focus" });
  #grid = h("div", { class: "grid" });
  #observer = new ResizeObserver(() => this.#arrange());

  constructor() {
    this.element = h("main", { class: "stage", "aria-label": "Participants" }, this.#focus, this.#grid);
    this.#observer.observe(this.#grid);
  }

  /**
   * Shows exactly these pictures, in this order.
   * @param {{key: string, userId: string, kind: "video"|"screen", name: string, you?: boolean,
   *          muted?: boolean, talking?: boolean, stream?: MediaStream|null}[]} pictures
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
    const tiles = [...this.#grid.children];
    const columns = bestColumns(tiles.length, this.#grid.clientWidth, this.#grid.clientHeight);
    this.#grid.style.setProperty("--columns", columns);
    const inLastRow = tiles.length % columns;
    const firstOfLast = inLastRow ? tiles.length - inLastRow : -1;
    tiles.forEach((tile, n) => {
      tile.classList.toggle("orphan-shift", n === firstOfLast);
      tile.style.setProperty("--start", columns - inLastRow + 1);
    });
  }
}

/** The number of columns that makes 16:9 tiles largest. */
export function bestColumns(count, width, height) {
  let best = 1;
  let bestWidth = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const tileWidth = Math.min(width / columns, ((height / rows) * 16) / 9);
    if (tileWidth > bestWidth + 1) [best, bestWidth] = [columns, tileWidth];
  }
  return best;
}
