import { html, useEffect, useSignal } from "../../vendored/preact.js";
import { follow } from "../feed.js";
import { withEntries } from "./emitted.js";

/**
 * What the components of a run show while they run, such as tokens of a language model, by step. It is followed when
 * somebody wants to see it: each feed takes one of the few connections that a browser has to a service.
 * @param {{run: string}} properties
 */
export function Output({ run }) {
  const isFollowed = useSignal(false);
  const texts = useSignal(/** @type {Record<string, string>} */ ({}));
  const isConnected = useSignal(true);
  useEffect(() => {
    if (!isFollowed.value) return undefined;
    texts.value = {};
    const controller = new AbortController();
    const add = inFrames((/** @type {any[]} */ entries) => (texts.value = withEntries(texts.peek(), entries)));
    follow("followRunOutput", {
      path: { run }, after: "", signal: controller.signal, onEvent: add, onConnection: (is) => (isConnected.value = is),
    });
    return () => controller.abort();
  }, [run, isFollowed.value]);
  const shown = Object.entries(texts.value);
  return html`<button type="button" aria-expanded=${isFollowed.value ? "true" : "false"}
      onClick=${() => (isFollowed.value = !isFollowed.value)}>Show what its steps say</button>
    ${isFollowed.value && html`<div role="log" aria-label="What its steps say">
      ${shown.length === 0 && html`<p class="hint">Nothing yet. What was said is kept for some time only.</p>`}
      ${!isConnected.value && html`<p class="hint">The connection is lost; trying again.</p>`}
      ${shown.map(([name, text]) => html`<figure class="value" key=${name}><figcaption>${name}</figcaption>
        <pre tabindex="0" aria-label=${name}>${text}</pre></figure>`)}
    </div>`}`;
}

/**
 * Return what hands on all that came since the last frame at once.
 * @template T
 * @param {(items: T[]) => void} take
 * @returns {(item: T) => void}
 */
function inFrames(take) {
  /** @type {T[]} */
  let coming = [];
  const flush = () => {
    const items = coming;
    coming = [];
    take(items);
  };
  return (item) => {
    if (coming.push(item) === 1) requestAnimationFrame(flush);
  };
}
