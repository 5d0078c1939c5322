/** The failures that callers of parley.js meet. */

/** The server answered, and the answer is no. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status
   * @param {{code?: string, message?: string, details?: object}} body the error body
   * @param {number} [retryAfter] seconds, from the Retry-After header
   */
  constructor(status, body, retryAfter) {
    super(body.message ?? `The server answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.code = body.code ?? "error";
    this.details = body.details;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed a little later. */
  get transient() {
    return [429, 502, 503, 504].includes(this.status);
  }
}

/** No answer came: the network is down, the server is restarting, or it took too long. */
export class NetworkError extends Error {
  /** @param {unknown} cause what fetch threw */
  constructor(cause) {
    super("The server cannot be reached", { cause });
    this.name = "NetworkError";
  }

  get transient() {
    return true;
  }
}
