import { batch, useEffect, useSignal } from "../../vendored/preact.js";
import { call } from "../api.js";
import { follow } from "../feed.js";

const PAGE = "1000";
const LEAST_PAUSE_MS = 250;

/** A large run takes long to look at: the service gets so many times as long to do other things. */
const PAUSES = 3;

/**
 * Keep a run as it is now: how its steps stand, and its events, which come as they happen.
 * @param {string} run
 */
export function useLiveRun(run) {
  const overview = useSignal(/** @type {any} */ (null));
  const timeline = useSignal(/** @type {any} */ (null));
  const events = useSignal(/** @type {any[]} */ ([]));
  const problem = useSignal(/** @type {Error | null} */ (null));
  const isConnected = useSignal(true);
  const round = useSignal(0);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const path = { run };
    const refresh = throttled(signal, async () => {
      const [standing, times] = await Promise.all([
        call("getRunSteps", { path, signal }),
        call("getRunTimeline", { path, signal }),
      ]);
      batch(() => {
        overview.value = standing;
        timeline.value = times;
        problem.value = null;
      });
    });
    const report = (/** @type {Error} */ error) => {
      if (!signal.aborted) problem.value = error;
    };
    const add = (/** @type {any[]} */ added) => {
      events.value = [...events.value, ...added];
    };
    const live = async () => {
      await refresh();
      await loadHistory(path, signal, events.peek().at(-1)?.version ?? 0, add);
      await follow("followRun", {
        path,
        after: String(events.peek().at(-1)?.version ?? 0),
        signal,
        onEvent: (event) => {
          add([event]);
          refresh().catch(report);
        },
        onConnection: (is) => (isConnected.value = is),
      });
      await refresh();
    };
    live().catch(report);
    return () => controller.abort();
  }, [run, round.value]);
  return { overview, timeline, events, problem, isConnected, again: () => (round.value += 1) };
}

/**
 * @param {{run: string}} path
 * @param {AbortSignal} signal
 * @param {number} after
 * @param {(events: any[]) => void} add
 */
async function loadHistory(path, signal, after, add) {
  let next = after;
  do {
    const query = new URLSearchParams({ after: String(next), limit: PAGE });
    const page = await call("getRunHistory", { path, query, signal });
    add(page.items);
    next = page.next;
  } while (next);
}

/**
 * Return what does something again and again with pauses between, and once more after the last time that it was asked to.
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} act
 * @returns {() => Promise<void>}
 */
function throttled(signal, act) {
  /** @type {Promise<void> | null} */
  let coming = null;
  let earliest = 0;
  const begin = async () => {
    await new Promise((resolve) => setTimeout(resolve, earliest - performance.now()));
    coming = null;
    const beganAt = performance.now();
    if (!signal.aborted) await act();
    const now = performance.now();
    earliest = now + Math.max(LEAST_PAUSE_MS, PAUSES * (now - beganAt));
  };
  return () => (coming ??= begin());
}
