import { problemOf } from "./api.js";
import { keyHeaders } from "./key.js";
import { request } from "./operations.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Follow a feed of server-sent events until it ends. When the connection breaks, it goes on behind the last event.
 * (`EventSource` cannot say who asks: it sends no headers.)
 * @param {string} operation
 * @param {object} options
 * @param {Record<string, string>} options.path
 * @param {string} options.after the id of the last event that is known
 * @param {AbortSignal} options.signal
 * @param {(data: any) => void} options.onEvent
 * @param {(isConnected: boolean) => void} options.onConnection
 */
export async function follow(operation, { path, after, signal, onEvent, onConnection }) {
  let last = after;
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const body = await connect(operation, path, last, signal);
      onConnection(true);
      pause = FIRST_PAUSE_MS;
      for await (const message of messages(body)) {
        if (message.event === "end") return;
        if (message.id) last = message.id;
        if (message.event !== "error") onEvent(JSON.parse(message.data));
      }
    } catch (error) {
      if (signal.aborted || isFinal(error)) return;
    }
    onConnection(false);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

/**
 * @param {string} operation
 * @param {Record<string, string>} path
 * @param {string} last
 * @param {AbortSignal} signal
 */
async function connect(operation, path, last, signal) {
  const { url } = request(operation, path);
  const headers = { Accept: "text/event-stream", "Last-Event-ID": last, ...keyHeaders() };
  const answer = await fetch(url, { headers, signal, cache: "no-store" });
  if (!answer.ok || !answer.body) throw await problemOf(answer);
  return answer.body;
}

/** @param {any} error */
function isFinal(error) {
  return error.status >= 400 && error.status < 500 && error.status !== 429;
}

/**
 * Split a stream into its messages.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{id: string, event: string, data: string}>}
 */
async function* messages(body) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    yield* blocks.map(parsed);
  }
}

/** @param {string} block */
function parsed(block) {
  const message = { id: "", event: "", data: "" };
  for (const line of block.split("\n")) {
    const [name, ...parts] = line.split(": ");
    if (name in message) message[/** @type {"id"|"event"|"data"} */ (name)] = parts.join(": ");
  }
  return message;
}
