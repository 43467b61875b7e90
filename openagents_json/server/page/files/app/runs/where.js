/** The names of the API's filter in the grammar of the command line, where they are others. */
const NAMES = Object.freeze({ workflow_version: "version", forked_from: "source", took_over_ms: "took_over", took_under_ms: "took_under" });
const FLAGS = ["reopened", "held", "redacted", "imported"];

/**
 * Return how the command line is told which runs a query means.
 * @param {URLSearchParams} query
 */
export function whereOptions(query) {
  return [...query].filter(([name]) => !["after", "limit", "as_of"].includes(name)).flatMap(([name, value]) => {
    if (name === "label") return ["--where", `label.${value}`];
    if (FLAGS.includes(name)) return value === "true" ? ["--where", `${name}=yes`] : [];
    if (name.startsWith("took_")) return ["--where", `${NAMES[/** @type {"took_over_ms"} */ (name)]}=${Number(value) / 1000}s`];
    return ["--where", `${NAMES[/** @type {"forked_from"} */ (name)] ?? name}=${value}`];
  });
}
