// The desk's REST API, as `/api/v1/openapi.json` describes it.

const SILENCE_MS = 30_000; // a stream says something every 10 s
const PAUSES_S = [1, 2, 4, 8, 15, 30];

/** What the server said no to; `retryAfter` is in seconds, 0 where it gave none. */
class Refusal extends Error {
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }

  /** Whether the same request may work later. */
  get passes() {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

class Server {
  constructor(base) {
    this.base = base;
  }

  /** Return the address of something on the server, "" where it is none that a browser should open. */
  address(path) {
    try {
      const url = new URL(path.replace(/^\/+/, ""), this.base);
      return /^https?:$/.test(url.protocol) ? url.href : "";
    } catch {
      return "";
    }
  }

  /** Return the answer's JSON. Throws Refusal, or TypeError where nothing came. */
  async call(method, path, request = {}) {
    return (await this.#fetch(method, path, { signal: AbortSignal.timeout(SILENCE_MS), ...request })).json();
  }

  /** Send a message and yield [event, data] as the reply is written; ends without `reply` where the network did. */
  async *stream(path, { token, body, headers, signal }) {
    const silent = new AbortController();
    let timer;
    const alive = () => (clearTimeout(timer), (timer = setTimeout(() => silent.abort(), SILENCE_MS)));
    signal?.addEventListener("abort", () => silent.abort());
    alive();
    try {
      const accept = { ...headers, Accept: "text/event-stream" };
      const response = await this.#fetch("POST", path, { token, body, headers: accept, signal: silent.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let part; !(part = await reader.read()).done; alive()) {
        const events = (rest + part.value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          const lines = event.split("\n"); // a regular expression would end lines at U+2028 too
          const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
          if (field("data")) yield [field("event"), JSON.parse(field("data"))];
        }
      }
    } finally {
      clearTimeout(timer);
      silent.abort();
    }
  }

  /** Return whether the server answers at all, whatever it says to this page's origin. */
  async answers() {
    return fetch(new URL("widget.js", this.base), { mode: "no-cors", credentials: "omit", cache: "no-store" }).then(
      () => true,
      () => false,
    );
  }

  async #fetch(method, path, { token, body, headers, signal, cache }) {
    const response = await fetch(new URL(`api/v1/${path}`, this.base), {
      method,
      signal,
      cache,
      credentials: "omit",
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body && JSON.stringify(body),
    });
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({}));
    const wait = Number(response.headers.get("Retry-After")) || 0;
    throw new Refusal(response.status, error?.code ?? "", error?.message ?? response.statusText, wait);
  }
}

/** Wait some seconds, until the browser is online again, or until a signal. */
const pause = (seconds, signal) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    addEventListener("online", done);
    signal?.addEventListener("abort", done);
  });

/** Do something until the network and the server let it; throws what stays refused, or is refused for now too often. */
async function patiently(work, { signal, waiting, most = Infinity } = {}) {
  for (let pauses = 0, refusals = 0; ; pauses++) {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted) throw error;
      const nothingCame = error instanceof TypeError || error instanceof DOMException;
      if (!nothingCame && (error.passes === false || ++refusals >= most)) throw error;
      waiting?.(error);
      await pause(error.retryAfter || PAUSES_S[Math.min(pauses, PAUSES_S.length - 1)], signal);
    }
  }
}
