import { quoted } from "../formats.js";
import { curl } from "../operations.js";

/**
 * What can be done to a run: when, by which operation, and how the command line and a body say it.
 * @typedef {object} Action
 * @property {string} name
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

/** @type {readonly Action[]} */
export const ACTIONS = [
  {
    name: "retry",
    title: "Retry",
    operation: "retryRun",
    means: "The run goes on from what failed, or from the step that you name. All other results are kept.",
    fields: ["step", "reason"],
    isFor: isClosed,
    body: ({ step, reason }) => ({ step, reason }),
    options: ({ step }) => (step ? ["--from", step] : []),
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
    means: "The run is asked to end. Steps under way get a grace period, unless you force it; what a worker does after that counts for nothing.",
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
  const words = ["openagents", "runs", action.name, run, ...action.options(values), ...reason, "--url", here];
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
