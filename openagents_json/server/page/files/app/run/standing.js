/**
 * How a step of the graph stands: its status, what is said of it, and how many of its items have each status.
 * @typedef {{status: string, text: string, counts: Record<string, number>}} Standing
 */

const OPEN = new Set(["scheduled", "started", "retrying", "waiting", "active", "gated"]);
const WEIGHTS = Object.freeze({ failed: 0, completed: 1 });

/**
 * Return how the steps of a run stand, by their paths without indexes.
 * @param {any[]} steps steps of a run as the API tells them
 * @returns {Map<string, Standing>}
 */
export function standings(steps) {
  /** @type {Map<string, {own: any, items: any[]}>} */
  const groups = new Map();
  for (const step of steps) {
    const path = withoutIndexes(step.id);
    const group = groups.get(path) ?? { own: null, items: [] };
    if (step.id === path) group.own = step;
    else group.items.push(step);
    groups.set(path, group);
  }
  return new Map([...groups].map(([path, group]) => [path, standing(group)]));
}

/** @param {string} path */
export function withoutIndexes(path) {
  return path.replace(/\[\d+\]/g, "");
}

/**
 * @param {{own: any, items: any[]}} group
 * @returns {Standing}
 */
function standing({ own, items }) {
  const counts = counted(items);
  const listed = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
  if (!own) return { status: lightest(items), text: listed, counts };
  if (items.length > 0) return { status: own.status, text: listed, counts };
  const text = own.attempt > 1 ? `${own.status}, attempt ${own.attempt}` : own.status;
  return { status: own.status, text, counts };
}

/** @param {any[]} items */
function counted(items) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const { status } of items) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/**
 * Of several steps, one that is open says how they stand, or the one that matters most.
 * @param {any[]} items
 */
function lightest(items) {
  if (items.some(({ status }) => OPEN.has(status))) return "running";
  const weight = (/** @type {string} */ status) => WEIGHTS[/** @type {"failed"} */ (status)] ?? 2;
  return items.map(({ status }) => status).sort((one, other) => weight(one) - weight(other))[0];
}
