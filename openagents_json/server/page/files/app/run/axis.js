/**
 * A stretch of time and where it lies on the axis, in percent; one that is folded is shorter than its time would be.
 * @typedef {{fromMs: number, toMs: number, from: number, to: number, isFolded: boolean}} Stretch
 */

/** What takes this part of all that happens, and nothing does meanwhile, is folded. */
const LONG = 0.15;

/** So much of the axis is left of a stretch that is folded. */
const FOLDED = 0.05;

const IDLE_KINDS = new Set(["wait", "group"]);

/**
 * Return the axis of a timeline. Where it is folded, times in which everything only waits are short on it.
 * @param {any[]} bars
 * @param {number} beganMs
 * @param {number} endedMs later than `beganMs`
 * @param {boolean} isFolded
 * @returns {Stretch[]}
 */
export function axis(bars, beganMs, endedMs, isFolded) {
  const whole = { fromMs: beganMs, toMs: endedMs, from: 0, to: 100, isFolded: false };
  if (!isFolded) return [whole];
  const busy = merged(bars.flatMap((bar) => bar.spans).filter((span) => !IDLE_KINDS.has(span.kind)), endedMs);
  const busyMs = busy.reduce((sum, [from, to]) => sum + to - from, 0);
  const longMs = Math.max(busyMs * LONG, 1);
  const idle = gaps(busy, beganMs, endedMs).filter(([from, to]) => to - from > longMs);
  if (idle.length === 0 || busy.length === 0) return [whole];
  return placed(split(idle, beganMs, endedMs));
}

/**
 * Return where a time lies on an axis, in percent.
 * @param {Stretch[]} stretches
 * @param {number} ms
 */
export function placeOf(stretches, ms) {
  const stretch = stretches.find(({ toMs }) => ms <= toMs) ?? stretches[stretches.length - 1];
  const part = (ms - stretch.fromMs) / Math.max(stretch.toMs - stretch.fromMs, 1);
  return stretch.from + Math.min(Math.max(part, 0), 1) * (stretch.to - stretch.from);
}

/**
 * Return the times in which at least one of some spans goes on.
 * @param {any[]} spans
 * @param {number} endedMs
 * @returns {[number, number][]}
 */
function merged(spans, endedMs) {
  /** @type {[number, number][]} */
  const times = spans.map((span) => [span.began_ms, span.ended_ms ?? endedMs]);
  times.sort((one, other) => one[0] - other[0]);
  /** @type {[number, number][]} */
  const result = [];
  for (const [from, to] of times) {
    const last = result[result.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

/**
 * @param {[number, number][]} busy
 * @param {number} beganMs
 * @param {number} endedMs
 * @returns {[number, number][]}
 */
function gaps(busy, beganMs, endedMs) {
  const ends = [beganMs, ...busy.map(([, to]) => to)];
  const begins = [...busy.map(([from]) => from), endedMs];
  return ends.map((end, at) => [end, begins[at]]);
}

/**
 * @param {[number, number][]} idle
 * @param {number} beganMs
 * @param {number} endedMs
 */
function split(idle, beganMs, endedMs) {
  const stretches = [];
  let atMs = beganMs;
  for (const [fromMs, toMs] of idle) {
    if (fromMs > atMs) stretches.push({ fromMs: atMs, toMs: fromMs, isFolded: false });
    stretches.push({ fromMs, toMs, isFolded: true });
    atMs = toMs;
  }
  if (endedMs > atMs) stretches.push({ fromMs: atMs, toMs: endedMs, isFolded: false });
  return stretches;
}

/**
 * @param {{fromMs: number, toMs: number, isFolded: boolean}[]} stretches
 * @returns {Stretch[]}
 */
function placed(stretches) {
  const folded = stretches.filter((stretch) => stretch.isFolded).length;
  const openMs = stretches.reduce((sum, { fromMs, toMs, isFolded }) => sum + (isFolded ? 0 : toMs - fromMs), 0);
  const foldedPart = Math.min(FOLDED, 0.5 / folded);
  const openPart = 1 - folded * foldedPart;
  let from = 0;
  return stretches.map((stretch) => {
    const part = stretch.isFolded ? foldedPart : ((stretch.toMs - stretch.fromMs) / openMs) * openPart;
    const to = from + 100 * part;
    const result = { ...stretch, from, to };
    from = to;
    return result;
  });
}
