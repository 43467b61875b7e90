import { html, useSignal } from "../../vendored/preact.js";
import { duration, exactTime, mark, time } from "../formats.js";

/** @param {{status: string}} properties */
export function Status({ status }) {
  return html`<span class=${`status is-${status.replace(" ", "-")}`}><span aria-hidden="true">${mark(status)}</span> ${status}</span>`;
}

/** @param {{ms: number | null | undefined}} properties */
export function Time({ ms }) {
  if (!ms) return "";
  return html`<time datetime=${exactTime(ms)} title=${exactTime(ms)}>${time(ms)}</time>`;
}

/** @param {{from: number | null | undefined, to: number | null | undefined}} properties */
export function Took({ from, to }) {
  if (from == null || to == null) return "";
  return html`<span class="number">${duration(to - from)}</span>`;
}

/** @param {{problem: any, isKept?: boolean}} properties */
export function ProblemNote({ problem, isKept = false }) {
  if (!problem) return null;
  const isLost = problem.status === undefined;
  return html`<div class="problem" role="alert">
    <strong>${isLost ? "The service does not answer; trying again." : problem.message}</strong>
    ${problem.remedy && html` <span>${problem.remedy}</span>`}
    ${isKept && html` <span>What is shown is older.</span>`}
  </div>`;
}

const SHORT = 2_000;

/**
 * A value of a run as text: whatever is in it, none of it is markup.
 * @param {{value: unknown, label: string}} properties
 */
export function Value({ value, label }) {
  const isWhole = useSignal(false);
  const text = JSON.stringify(value, null, 2) ?? "null";
  const shown = isWhole.value || text.length <= SHORT ? text : `${text.slice(0, SHORT)} …`;
  return html`<figure class="value">
    <figcaption>${label}</figcaption>
    <pre tabindex="0" aria-label=${label}>${shown}</pre>
    ${shown !== text &&
    html`<button type="button" onClick=${() => (isWhole.value = true)}>Show all ${text.length} characters</button>`}
  </figure>`;
}

/**
 * A command that can be copied.
 * @param {{label: string, text: string}} properties
 */
export function Command({ label, text }) {
  const isCopied = useSignal(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    isCopied.value = true;
  };
  return html`<figure class="command">
    <figcaption>${label}</figcaption>
    <pre tabindex="0" aria-label=${label}>${text}</pre>
    <button type="button" onClick=${copy}>Copy</button>
    <span role="status">${isCopied.value ? "copied" : ""}</span>
  </figure>`;
}
