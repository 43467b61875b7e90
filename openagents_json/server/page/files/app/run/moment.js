import { html, useEffect, useRef, useSignal } from "../../vendored/preact.js";
import { go, linkHere } from "../address.js";
import { call } from "../api.js";
import { duration, time } from "../formats.js";

const PLAYED_EVERY_MS = 400;

/** While the slider is dragged, the rest follows at most so often; less often in a long run, of which more is drawn. */
const FOLLOWS_AFTER_MS = 150;
const FOLLOWS_AFTER_MOST_MS = 600;
const EVENTS_A_MS = 20;
const KEPT = 500;

/**
 * The run after an event: its state then; null for now.
 * @typedef {{version: number, info: any} | null} Moment
 */

/**
 * Return the moment that the address asks for, as soon as it is there; until then the one before.
 * @param {string} run
 * @param {number} version 0 for now
 * @param {(problem: Error | null) => void} report
 */
export function useMoment(run, version, report) {
  const moment = useSignal(/** @type {Moment} */ (null));
  const kept = useRef(/** @type {Map<number, any>} */ (new Map()));
  useEffect(() => {
    if (version === 0) {
      moment.value = null;
      return undefined;
    }
    const controller = new AbortController();
    const load = async () => {
      const known = kept.current.get(version);
      const info = known ?? (await stateAt(run, version, controller.signal));
      if (controller.signal.aborted) return;
      remember(kept.current, version, info);
      moment.value = { version, info };
      report(null);
    };
    load().catch((error) => controller.signal.aborted || report(error));
    return () => controller.abort();
  }, [run, version]);
  return moment;
}

/**
 * @param {string} run
 * @param {number} version
 * @param {AbortSignal} signal
 */
function stateAt(run, version, signal) {
  return call("getRunAt", { path: { run }, query: new URLSearchParams({ version: String(version) }), signal });
}

/**
 * @param {Map<number, any>} kept
 * @param {number} version
 * @param {any} info
 */
function remember(kept, version, info) {
  kept.set(version, info);
  const [oldest] = kept.keys();
  if (kept.size > KEPT) kept.delete(oldest);
}

/**
 * Go to a moment of the run of here, or to now with 0; going back in the browser does not go through all of them.
 * @param {number} version
 */
export function goToMoment(version) {
  go(linkHere({ at: version ? String(version) : null }), { replaces: true });
}

/**
 * One slider through the events of a run. Graph, timeline, steps and history all show its moment.
 * @param {{events: any[], version: number}} properties
 */
export function Slider({ events, version }) {
  const isPlaying = useSignal(false);
  const last = events.length;
  const pauseMs = Math.min(Math.max(FOLLOWS_AFTER_MS, last / EVENTS_A_MS), FOLLOWS_AFTER_MOST_MS);
  const { dragged, drag } = useDragging(pauseMs);
  const at = dragged || version || last;
  const event = events[at - 1];
  useEffect(() => {
    if (!isPlaying.value) return undefined;
    if (at >= last) {
      isPlaying.value = false;
      return undefined;
    }
    const timer = setTimeout(() => goToMoment(at + 1), PLAYED_EVERY_MS);
    return () => clearTimeout(timer);
  }, [isPlaying.value, at, last]);
  const play = () => {
    if (!isPlaying.value && at >= last) goToMoment(1);
    isPlaying.value = !isPlaying.value;
  };
  const to = (/** @type {number} */ chosen) => {
    isPlaying.value = false;
    goToMoment(Math.min(Math.max(chosen, 1), last));
  };
  if (!event) return null;
  const sentence = `${event.type}${event.step ? ` ${event.step}` : ""}`;
  return html`<div class="slider" role="group" aria-label="Moment of the run">
    <button type="button" onClick=${play}>${isPlaying.value ? "Stop" : "Play"}</button>
    <button type="button" aria-label="One event back" disabled=${at <= 1} onClick=${() => to(at - 1)}>◂</button>
    <input type="range" min="1" max=${last} value=${at} aria-label="Event" aria-valuetext=${`${at} of ${last}: ${sentence}`}
      onInput=${(/** @type {any} */ input) => {
        isPlaying.value = false;
        drag(Number(input.target.value));
      }} />
    <button type="button" aria-label="One event on" disabled=${at >= last} onClick=${() => to(at + 1)}>▸</button>
    <button type="button" aria-pressed=${version === 0 ? "true" : "false"} onClick=${() => goToMoment(0)}>Now</button>
    <span class="moment"><span class="number">${at}/${last}</span> ${sentence}
      <span class="hint" title=${time(event.time_ms)}> +${duration(event.time_ms - events[0].time_ms)}</span>
      ${version > 0 && html` <a href=${linkHere({ at: String(at) })}>Link to this moment</a>`}</span>
  </div>`;
}

/**
 * Let the slider be where it is dragged to, and the rest follow now and then: it is much more to draw.
 * @param {number} pauseMs
 */
function useDragging(pauseMs) {
  const dragged = useSignal(0);
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  useEffect(() => () => clearTimeout(timer.current), []);
  const arrive = () => {
    timer.current = undefined;
    goToMoment(dragged.peek());
    dragged.value = 0;
  };
  const drag = (/** @type {number} */ version) => {
    dragged.value = version;
    timer.current ??= setTimeout(arrive, pauseMs);
  };
  return { dragged: dragged.value, drag };
}
