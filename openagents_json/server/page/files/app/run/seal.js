import { html } from "../../vendored/preact.js";
import { call, download } from "../api.js";
import { mark } from "../formats.js";
import { Asked, Verified } from "../parts/asked.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 5_000;
const LOOKS = Object.freeze({ signed: "completed", sealed: "running", "not yet": "queued" });

/**
 * Follow how many events of a run the ledger has sealed and signed; null where there is no ledger.
 * @param {string} run
 * @param {number} version how many events it has
 */
export function useSeal(run, version) {
  const load = (/** @type {AbortSignal} */ signal) => call("getRunSeal", { path: { run }, signal }).catch(nothing);
  const { value } = usePolling(load, [run, version], EVERY_MS);
  return value.value;
}

/** @param {any} problem */
function nothing(problem) {
  if (problem.code === "no_ledger") return null;
  throw problem;
}

/**
 * Return what the ledger says of an event.
 * @param {{signed: number, sealed: number}} seal
 * @param {number} version
 * @returns {keyof typeof LOOKS}
 */
export function sealOf({ signed, sealed }, version) {
  if (version <= signed) return "signed";
  return version <= sealed ? "sealed" : "not yet";
}

/** @param {{seal: any, version: number}} properties */
export function Badge({ seal, version }) {
  const word = sealOf(seal, version);
  const look = LOOKS[word];
  return html`<span class=${`status is-${look}`}><span aria-hidden="true">${mark(look)}</span> ${word}</span>`;
}

/** @param {{run: string, version: number}} properties */
export function Receipt({ run, version }) {
  const ask = () => download("getReceipt", { run, version: String(version) }, `receipt-${run}-${version}.json`);
  return html`<${Asked} title="Download the receipt" ask=${ask} />`;
}

/** @param {{run: string}} properties */
export function VerifyRun({ run }) {
  return html`<${Asked} title="Verify against the ledger" ask=${() => call("verifyRun", { path: { run } })}
    draw=${(/** @type {any} */ answer) => html`<${Verified} verification=${answer} />`} />`;
}
