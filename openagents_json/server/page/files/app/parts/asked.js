import { html, useSignal } from "../../vendored/preact.js";
import { ProblemNote } from "./small.js";

/**
 * A button that asks the service for something which takes its time, and what came of it.
 * @param {{title: string, ask: () => Promise<any>, draw?: (answer: any) => any}} properties
 */
export function Asked({ title, ask, draw = () => null }) {
  const answer = useSignal(/** @type {any} */ (null));
  const problem = useSignal(/** @type {Error | null} */ (null));
  const isAsking = useSignal(false);
  const click = async () => {
    isAsking.value = true;
    problem.value = null;
    try {
      answer.value = await ask();
    } catch (error) {
      problem.value = /** @type {Error} */ (error);
    }
    isAsking.value = false;
  };
  return html`<div class="asked"><button type="button" disabled=${isAsking.value} onClick=${click}>${title}</button>
    <div role="status">${isAsking.value ? "It takes a moment." : answer.value !== null && draw(answer.value)}</div>
    <${ProblemNote} problem=${problem.value} /></div>`;
}

/**
 * What a check of the ledger came to.
 * @param {{verification: any}} properties
 */
export function Verified({ verification }) {
  const { intact, verified, lines } = verification;
  const status = !intact ? "failed" : verified > 0 ? "completed" : "queued";
  const words = !intact ? "not as it was sealed" : verified > 0 ? "intact" : "nothing is signed yet";
  return html`<p><span class=${`status is-${status}`}><span aria-hidden="true">${intact ? "✓" : "✕"}</span> ${words}</span></p>
    <ul>${lines.map((/** @type {string} */ line) => html`<li key=${line}>${line}</li>`)}</ul>`;
}
