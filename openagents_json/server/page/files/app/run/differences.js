const LONGEST = 300;

/**
 * A value that two runs do not share: where it is, and what it is in each.
 * @typedef {{where: string, one: string, other: string}} Difference
 */

/**
 * Return what differs between two runs, as rows of a table.
 * @param {any} comparison
 * @returns {Difference[]}
 */
export function differences(comparison) {
  const [one, other] = comparison.status;
  return [
    ...(one === other ? [] : [{ where: "status", one, other }]),
    ...comparison.builds.map((/** @type {any} */ build) => ({
      where: `build of ${build.component}`, one: build.one.join(", "), other: build.other.join(", "),
    })),
    ...changes("input", comparison.inputs),
    ...comparison.steps.flatMap(ofStep),
    ...changes("output", comparison.output),
  ];
}

/** @param {any} step */
function ofStep(step) {
  const rows = [
    ...changes(`${step.step} input`, step.inputs),
    ...changes(`${step.step} output`, step.output),
    ...changes(`${step.step} error`, step.error),
  ];
  if (step.one !== step.other || rows.length === 0) rows.unshift({ where: step.step, one: step.one || "–", other: step.other || "–" });
  return rows;
}

/**
 * @param {string} what
 * @param {any[]} list
 * @returns {Difference[]}
 */
function changes(what, list) {
  return list.map((change) => ({
    where: change.path ? `${what} ${change.path}` : what,
    one: change.missing === "one" ? "–" : short(change.one),
    other: change.missing === "other" ? "–" : short(change.other),
  }));
}

/** @param {unknown} value */
function short(value) {
  const text = JSON.stringify(value) ?? "null";
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
