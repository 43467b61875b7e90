/** So many characters of what a step shows are kept. */
const MOST = 20_000;

/**
 * Return the texts with some more values; a new attempt of a step begins a text of its own.
 * @param {Record<string, string>} texts
 * @param {any[]} entries
 */
export function withEntries(texts, entries) {
  const result = { ...texts };
  for (const { step, attempt, value } of entries) {
    const name = attempt > 1 ? `${step}, attempt ${attempt}` : step;
    result[name] = ((result[name] ?? "") + said(value)).slice(-MOST);
  }
  return result;
}

/** @param {any} value */
function said(value) {
  if (typeof value === "string") return value;
  const text = value?.token ?? value?.text ?? value?.delta;
  return typeof text === "string" ? text : `${JSON.stringify(value)}\n`;
}
