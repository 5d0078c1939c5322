/** Names of users, fetched once each. Event: `names` when more of them are known. */
export class Names extends EventTarget {
  #api;
  #known = new Map();
  #missing = new Set();
  #timer;

  /** @param {import("../parley/api.js").Api} api */
  constructor(api) {
    super();
    this.#api = api;
    if (api.userName) this.#known.set(api.userId, api.userName);
  }

  /** The name, or a stand-in until it is known. */
  of(userId) {
    const name = this.#known.get(userId);
    if (name) return name;
    this.#missing.add(userId);
    this.#timer ??= setTimeout(() => this.#fetch(), 20);
    return "…";
  }

  /** The name, once it is known; the stand-in if it cannot be had. @returns {Promise<string>} */
  async learn(userId) {
    if (this.of(userId) === "…") {
      const limit = { signal: AbortSignal.timeout(3000), once: true };
      await new Promise((resolve) => {
        this.addEventListener("names", resolve, limit);
        limit.signal.addEventListener("abort", resolve);
      });
    }
    return this.of(userId);
  }

  async #fetch() {
    this.#timer = undefined;
    const ids = [...this.#missing];
    this.#missing.clear();
    try {
      for (const { id, name } of await this.#api.users(ids)) this.#known.set(id, name);
      this.dispatchEvent(new Event("names"));
    } catch {
      // A stand-in is shown; it is asked for again with the next change of people.
    }
  }
}

/** One or two letters for a name. */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
}

/** A colour for a user, always the same one. @returns {number} hue in degrees */
export function hue(userId) {
  let sum = 0;
  for (const character of userId) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}
