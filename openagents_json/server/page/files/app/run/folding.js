/**
 * What a step holds once for each item or iteration: how many, and how many of them have each status.
 * @typedef {{items: number, counts: Record<string, number>}} Group
 */

/** So many items are shown with their step; more of them are folded until somebody opens it. */
const FOLDED_ABOVE = 20;

/**
 * Return the steps whose items are folded, by their paths.
 * @param {{path: string, status?: string}[]} rows
 * @returns {Map<string, Group>}
 */
export function groupsOf(rows) {
  /** @type {Map<string, Map<string, string>>} */
  const itemsOf = new Map();
  for (const { path, status = "" } of rows) {
    for (const [holder, item] of holdersOf(path)) {
      const items = itemsOf.get(holder) ?? new Map();
      // Of an item that holds steps of its own, no row is the item itself: it counts, and has no status.
      if (item === path || !items.has(item)) items.set(item, item === path ? status : "");
      itemsOf.set(holder, items);
    }
  }
  const large = [...itemsOf].filter(([, items]) => items.size > FOLDED_ABOVE);
  return new Map(large.map(([holder, items]) => [holder, { items: items.size, counts: counted([...items.values()]) }]));
}

/**
 * Return the rows that are shown: those below a folded step only where it is open, or where one of them is chosen.
 * @template {{path: string}} T
 * @param {T[]} rows
 * @param {Map<string, Group>} groups
 * @param {ReadonlySet<string>} opened
 * @param {string} chosen
 * @returns {T[]}
 */
export function unfolded(rows, groups, opened, chosen) {
  if (groups.size === 0) return rows;
  const isShown = (/** @type {string} */ holder) => !groups.has(holder) || opened.has(holder);
  return rows.filter(({ path }) => path === chosen || holdersOf(path).every(([holder]) => isShown(holder)));
}

/**
 * Return the steps above a path that hold items, each with the item that the path is or lies in.
 * @param {string} path
 * @returns {[string, string][]}
 */
function holdersOf(path) {
  return [...path.matchAll(/\[\d+\]/g)].map(({ index, 0: number }) => [path.slice(0, index), path.slice(0, index + number.length)]);
}

/** One of a thousand that failed has to be seen: no part of the bar is narrower, in percent. */
const NARROWEST = 1.5;

/**
 * Return how wide each part of a bar of states is, in percent.
 * @param {Record<string, number>} counts
 * @returns {Record<string, number>}
 */
export function shares(counts) {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const widths = Object.entries(counts).map(([status, count]) => ({ status, width: Math.max((100 * count) / all, NARROWEST) }));
  const sum = widths.reduce((total, { width }) => total + width, 0);
  return Object.fromEntries(widths.map(({ status, width }) => [status, (100 * width) / sum]));
}

/** @param {string[]} statuses */
function counted(statuses) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const status of statuses) if (status) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
