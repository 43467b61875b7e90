/**
 * Return what of edited inputs is not as it was; null where nothing is.
 * @param {Record<string, unknown>} inputs
 * @param {Record<string, unknown>} edited
 */
export function changesOf(inputs, edited) {
  const changed = Object.entries(edited).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(inputs[name]));
  return changed.length === 0 ? null : Object.fromEntries(changed);
}
