/** Waiting, retrying, and doing things one after another. */

/**
 * Resolves after `ms`, or at once when the signal aborts. Never rejects.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/**
 * The wait before attempt `n` (0 is the first retry), in milliseconds: doubling, with jitter, so that a
 * thousand clients of a restarted server do not come back in the same instant.
 */
export function backoff(n, { first = 300, most = 5000 } = {}) {
  const full = Math.min(most, first * 2 ** n);
  return full * (0.5 + Math.random() / 2);
}

/**
 * Runs an action that is safe to repeat until it succeeds, fails for good, or `tries` are used up.
 * @template T
 * @param {() => Promise<T>} action
 * @param {{tries?: number, signal?: AbortSignal, passing?: (error: Error) => boolean}} [options]
 *   `passing`: which failures are worth another try; by default those without an answer and 429, 502 to 504
 * @returns {Promise<T>}
 */
export async function patiently(action, { tries = 8, signal, passing = isTransient } = {}) {
  for (let n = 0; ; n++) {
    try {
      return await action();
    } catch (error) {
      if (!passing(error) || n + 1 >= tries || signal?.aborted) throw error;
      await pause(error.retryAfter ? error.retryAfter * 1000 : backoff(n), signal);
    }
  }
}

function isTransient(error) {
  return error.transient === true;
}

/** Runs tasks one at a time, in the order they were given. A task that fails does not stop the next. */
export class Sequence {
  #last = Promise.resolve();

  /**
   * @template T
   * @param {() => Promise<T>} task
   * @returns {Promise<T>} what the task gives
   */
  run(task) {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {});
    return result;
  }
}
