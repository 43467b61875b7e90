import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { differences } from "./differences.js";

/**
 * Two runs beside each other: the first event that differs, and every value that does.
 * @param {{run: string, other: string, comparison: any}} properties
 */
export function Comparison({ run, other, comparison }) {
  const rows = differences(comparison);
  const { first } = comparison;
  if (rows.length === 0 && !first) return html`<p role="status">Nothing differs.</p>`;
  const moment = (/** @type {string} */ id, /** @type {number | null} */ version) =>
    version === null ? "no event" : html`<a href=${link(["runs", id], new URLSearchParams({ at: String(version) }))}>event ${version}</a>`;
  return html`
    ${first && html`<p>They part ${first.step ? html`at <code>${first.step}</code>` : "at the run itself"}:
      ${moment(run, first.one_version)} here, ${moment(other, first.other_version)} there.</p>`}
    ${rows.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="What differs"><table>
      <thead><tr><th scope="col">What</th><th scope="col">This run</th><th scope="col"><a class="id" href=${link(["runs", other])}>${other}</a></th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.where}><td>${row.where}</td><td class="error">${row.one}</td><td class="error">${row.other}</td></tr>`)}</tbody>
    </table></div>`}`;
}
