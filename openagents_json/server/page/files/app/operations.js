import { quoted } from "./formats.js";
import { keyHeaders } from "./key.js";

/**
 * The operations of the HTTP API that the page uses, by their operation ids: it knows no other addresses.
 * @type {Readonly<Record<string, string>>}
 */
export const OPERATIONS = Object.freeze({
  startRun: "POST /v1/runs",
  listRuns: "GET /v1/runs",
  countRunsByStatus: "GET /v1/runs/counts",
  getRunAt: "GET /v1/runs/{run}/state",
  getRunLayout: "GET /v1/runs/{run}/layout",
  getRunSteps: "GET /v1/runs/{run}/steps",
  getRunHistory: "GET /v1/runs/{run}/history",
  getRunTimeline: "GET /v1/runs/{run}/timeline",
  followRun: "GET /v1/runs/{run}/events",
  listWaiting: "GET /v1/waiting",
  listFailures: "GET /v1/failures",
  getLedger: "GET /v1/audit",
  verifyLedger: "GET /v1/audit/verification",
  exportLedger: "GET /v1/audit/export",
  getRunSeal: "GET /v1/runs/{run}/seal",
  verifyRun: "GET /v1/runs/{run}/verification",
  getReceipt: "GET /v1/runs/{run}/receipts/{version}",
  listApiKeys: "GET /v1/api-keys",
  putApiKey: "PUT /v1/api-keys/{key}",
  limitApiKey: "POST /v1/api-keys/{key}/limit",
  deleteApiKey: "DELETE /v1/api-keys/{key}",
  listQueues: "GET /v1/queues",
  listOrders: "GET /v1/orders",
  pauseQueue: "POST /v1/queues/{name}/pause",
  resumeQueue: "POST /v1/queues/{name}/resume",
  limitQueue: "POST /v1/queues/{name}/limit",
  listWorkers: "GET /v1/workers",
  listSteps: "GET /v1/steps",
  listComponents: "GET /v1/components",
  listWorkflows: "GET /v1/workflows",
  getWorkflowVersion: "GET /v1/workflows/{workflow}/versions/{version}",
  getWorkflowLayout: "GET /v1/workflows/{workflow}/versions/{version}/layout",
  cancelRun: "POST /v1/runs/{run}/cancel",
  pauseRun: "POST /v1/runs/{run}/pause",
  resumeRun: "POST /v1/runs/{run}/resume",
  rerunRun: "POST /v1/runs/{run}/rerun",
  forkRun: "POST /v1/runs/{run}/fork",
  skipStep: "POST /v1/runs/{run}/skip",
  completeStep: "POST /v1/runs/{run}/complete",
  explainRun: "GET /v1/runs/{run}/explanation",
  diffRuns: "GET /v1/runs/{run}/diff/{other}",
  followRunOutput: "GET /v1/runs/{run}/output",
  listSchedules: "GET /v1/schedules",
  putSchedule: "PUT /v1/schedules/{name}",
  nextFirings: "GET /v1/schedules/{name}/next",
  pauseSchedule: "POST /v1/schedules/{name}/pause",
  resumeSchedule: "POST /v1/schedules/{name}/resume",
  triggerSchedule: "POST /v1/schedules/{name}/trigger",
  listHooks: "GET /v1/hooks",
  putHook: "PUT /v1/hooks/{name}",
  listDeliveries: "GET /v1/hooks/{name}/deliveries",
  listWebhooks: "GET /v1/webhooks",
  retryRun: "POST /v1/runs/{run}/retry",
  signalRun: "POST /v1/runs/{run}/signal/{name}",
});

/**
 * Return method and address of an operation, below the folder that the page is served from.
 * @param {string} operation
 * @param {Record<string, string>} [path] what stands for the names in braces
 * @param {URLSearchParams} [query]
 * @returns {{method: string, url: URL}}
 */
export function request(operation, path = {}, query = new URLSearchParams()) {
  const [method, template] = OPERATIONS[operation].split(" ");
  const filled = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name]));
  const url = new URL(filled.slice(1), document.baseURI.split("#")[0]);
  url.search = query.toString();
  return { method, url };
}

/**
 * Return a request as a command for curl; it names the API key and does not show it.
 * @param {string} operation
 * @param {Record<string, string>} path
 * @param {unknown} [body]
 */
export function curl(operation, path, body) {
  const { method, url } = request(operation, path);
  const key = keyHeaders().Authorization ? ['-H "Authorization: Bearer $OPENAGENTS_API_KEY"'] : [];
  const words = [
    `curl -X ${method} ${quoted(url.href)}`,
    ...key,
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`]),
  ];
  return words.join(" ");
}
