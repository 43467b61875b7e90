import { batch, useEffect, useSignal } from "../vendored/preact.js";

/**
 * Load something again and again while it is looked at. What is there stays while the service does not answer.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {unknown[]} inputs what it depends on
 * @param {number} everyMs the time between two loads; 0 loads once
 */
export function usePolling(load, inputs, everyMs) {
  const value = useSignal(/** @type {T | null} */ (null));
  const problem = useSignal(/** @type {Error | null} */ (null));
  const isNew = useSignal(true);
  useEffect(() => {
    isNew.value = true;
    return repeat(load, everyMs, (loaded, error) =>
      batch(() => {
        if (!error) value.value = loaded;
        problem.value = error;
        isNew.value = false;
      }),
    );
  }, inputs);
  return { value, problem, isNew };
}

/**
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {number} everyMs
 * @param {(value: any, problem: Error | null) => void} report
 * @returns {() => void} what ends it
 */
function repeat(load, everyMs, report) {
  const controller = new AbortController();
  const { signal } = controller;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const once = async () => {
    clearTimeout(timer);
    if (!document.hidden) await load(signal).then((value) => report(value, null)).catch(failed);
    if (everyMs && !signal.aborted) timer = setTimeout(once, everyMs);
  };
  const failed = (/** @type {Error} */ error) => signal.aborted || report(null, error);
  document.addEventListener("visibilitychange", once, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  once();
  return () => controller.abort();
}
