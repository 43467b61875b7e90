import { quoted } from "../formats.js";
import { curl } from "../operations.js";

/**
 * What can be done to a run: when, by which operation, and how the command line and a body say it.
 * @typedef {object} Action
 * @property {string} name
 * @property {string} [command] that of the command line, where it has another name
 * @property {string} title
 * @property {string} operation
 * @property {string} means
 * @property {string[]} fields
 * @property {(status: string) => boolean} isFor
 * @property {(values: any) => any} body
 * @property {(values: any) => string[]} options
 */

const CLOSED = ["completed", "failed", "cancelled"];
const isClosed = (/** @type {string} */ status) => CLOSED.includes(status);
const isOpen = (/** @type {string} */ status) => !isClosed(status);
const onlyReason = (/** @type {any} */ { reason }) => ({ reason });
const noOptions = () => [];

/** @param {any} values */
const setOptions = ({ changes }) =>
  Object.entries(changes ?? {}).flatMap(([name, value]) => ["--set", `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`]);

/** @type {readonly Action[]} */
export const ACTIONS = [
  {
    name: "retry",
    title: "Retry",
    operation: "retryRun",
    means: "The run goes on from what failed, or from the step that you name. All other results are kept.",
    fields: ["step", "inputs", "reason"],
    isFor: isClosed,
    body: ({ step, changes, reason }) => ({ step, inputs: changes, reason }),
    options: (values) => [...(values.step ? ["--from", values.step] : []), ...setOptions(values)],
  },
  {
    name: "rerun",
    command: "replay",
    title: "Rerun",
    operation: "rerunRun",
    means: "All of the run is done again, but for results that stand: those whose component, definition and inputs have not changed.",
    fields: ["inputs", "reason"],
    isFor: isClosed,
    body: ({ changes, reason }) => ({ inputs: changes, reason }),
    options: setOptions,
  },
  {
    name: "fork",
    title: "Fork",
    operation: "forkRun",
    means: "A new run begins, with the past of this one up to an event; this one stays as it is.",
    fields: ["at", "inputs", "reason"],
    isFor: () => true,
    body: ({ at, changes, reason }) => ({ at, inputs: changes, reason }),
    options: (values) => ["--at", String(values.at), ...setOptions(values)],
  },
  {
    name: "skip",
    title: "Skip a step",
    operation: "skipStep",
    means: "The run goes on without the step. What refers to its result gets null.",
    fields: ["oneStep", "reason"],
    isFor: () => true,
    body: ({ step, reason }) => ({ step, reason }),
    options: ({ step }) => [step || "STEP"],
  },
  {
    name: "complete",
    title: "Complete a step",
    operation: "completeStep",
    means: "The run goes on as if the step had returned what you say. The history tells who said so.",
    fields: ["oneStep", "output", "reason"],
    isFor: () => true,
    body: ({ step, output, reason }) => ({ step, output, reason }),
    options: ({ step, output }) => [step || "STEP", "--result", JSON.stringify(output)],
  },
  {
    name: "signal",
    title: "Signal",
    operation: "signalRun",
    means: "The run keeps the signal until a step takes it.",
    fields: ["name", "payload", "key", "reason"],
    isFor: isOpen,
    body: ({ payload, key, reason }) => ({ payload, key: key || null, reason }),
    options: ({ name, payload, key }) => [
      name || "NAME",
      ...(payload === null ? [] : ["--payload", JSON.stringify(payload)]),
      ...(key ? ["--key", key] : []),
    ],
  },
  {
    name: "pause",
    title: "Pause",
    operation: "pauseRun",
    means: "Nothing more of the run is started. Steps under way finish.",
    fields: ["reason"],
    isFor: (status) => isOpen(status) && status !== "paused",
    body: onlyReason,
    options: noOptions,
  },
  {
    name: "resume",
    title: "Resume",
    operation: "resumeRun",
    means: "The run goes on.",
    fields: ["reason"],
    isFor: (status) => status === "paused",
    body: onlyReason,
    options: noOptions,
  },
  {
    name: "cancel",
    title: "Cancel",
    operation: "cancelRun",
    means:
      "No step is started any more. Steps under way are asked to stop, and have a grace period for it unless you force it. " +
      "Code that does not stop then is left running and ignored: whatever it returns, the run does not take.",
    fields: ["force", "compensate", "reason"],
    isFor: isOpen,
    body: ({ force, compensate, reason }) => ({ force, compensate, reason }),
    options: ({ force, compensate }) => [
      ...(force ? ["--force"] : []),
      ...(compensate ? [] : ["--no-compensate"]),
    ],
  },
];

/**
 * Return the command that does the same.
 * @param {Action} action
 * @param {string} run
 * @param {any} values
 */
export function cliCommand(action, run, values) {
  const here = document.baseURI.split("#")[0].replace(/\/$/, "");
  const reason = values.reason ? ["--reason", values.reason] : [];
  const words = ["openagents", "runs", action.command ?? action.name, run, ...action.options(values), ...reason, "--url", here];
  return words.map(quoted).join(" ");
}

/**
 * Return the request that does the same, for curl.
 * @param {Action} action
 * @param {string} run
 * @param {any} values
 */
export function curlCommand(action, run, values) {
  return curl(action.operation, { run, name: values.name || "NAME" }, action.body(values));
}
