/**
 * What workers can be told of a queue: by which operation, and how the command line and a body say it.
 * @typedef {object} Action
 * @property {string} title
 * @property {string} operation
 * @property {string} means
 * @property {(values: {reason: string, atMost: string}) => any} body
 * @property {(values: {name: string, reason: string, atMost: string}) => string[]} words
 */

const whom = (/** @type {{name: string, reason: string}} */ { name, reason }) => ["--type", name, ...(reason ? ["--reason", reason] : [])];
const HEARD = "Workers hear of it within about three seconds.";

/** @type {Readonly<Record<"pause" | "resume" | "limit", Action>>} */
export const ACTIONS = Object.freeze({
  pause: {
    title: "Pause",
    operation: "pauseQueue",
    means: `Workers take no new steps of it, nor do those that begin later; what runs goes on. ${HEARD}`,
    body: ({ reason }) => ({ reason }),
    words: (values) => ["pause", ...whom(values)],
  },
  resume: {
    title: "Resume",
    operation: "resumeQueue",
    means: `Workers take steps of it again. ${HEARD}`,
    body: ({ reason }) => ({ reason }),
    words: (values) => ["resume", ...whom(values)],
  },
  limit: {
    title: "Limit",
    operation: "limitQueue",
    means: `Each worker runs so many steps of it at a time, and never more than it has slots. ${HEARD}`,
    body: ({ reason, atMost }) => ({ at_most: atMost ? Number(atMost) : null, reason }),
    words: (values) => ["concurrency", ...(values.atMost ? ["--at-most", values.atMost] : []), ...whom(values)],
  },
});

/**
 * Return what workers were told, in words.
 * @param {{what: string, holds: boolean, at_most: number}} order
 */
export function orderText({ what, holds, at_most }) {
  if (what === "concurrency") return holds ? `${at_most} steps at a time` : "as many steps as slots";
  return holds ? what : `${what} taken back`;
}
