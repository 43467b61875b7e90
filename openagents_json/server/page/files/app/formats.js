const MARKS = Object.freeze({
  completed: "✓", failed: "✕", cancelled: "⊘", skipped: "↷", running: "●", started: "●", active: "●",
  queued: "…", new: "…", scheduled: "…", retrying: "↻", waiting: "◷", gated: "▮", paused: "‖",
  failing: "✕", cancelling: "⊘",
});

/**
 * Return the sign of a status, so that it is never told by colour alone.
 * @param {string} status
 * @returns {string}
 */
export function mark(status) {
  return /** @type {Record<string, string>} */ (MARKS)[status] ?? "○";
}

/**
 * Return a duration as people say it: `340 ms`, `2.4 s`, `3 m 5 s`, `2 h 10 m`, `4 d 3 h`.
 * @param {number} ms
 */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/**
 * Return a time of the store in the time zone of the browser: `2026-11-29 03:18:47`.
 * @param {number} ms since 1970
 */
export function time(ms) {
  const at = new Date(ms);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

/**
 * Return a time with its milliseconds in UTC, as the API takes it.
 * @param {number} ms since 1970
 */
export function exactTime(ms) {
  return new Date(ms).toISOString();
}

/**
 * Return an argument as shells take it.
 * @param {string} text
 */
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * Return an error of a run or a step in a line.
 * @param {Record<string, any> | null | undefined} error
 */
export function errorLine(error) {
  if (!error) return "";
  return [error.type, error.message].filter(Boolean).join(": ");
}
