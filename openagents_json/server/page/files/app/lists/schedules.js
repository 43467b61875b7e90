import { html, useSignal } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { quoted } from "../formats.js";
import { curl } from "../operations.js";
import { Dialog } from "../parts/dialog.js";
import { Loaded } from "../parts/loaded.js";
import { Command, ProblemNote, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 5_000;

/**
 * What can be done to a schedule.
 * @typedef {{title: string, command: string, operation: string, means: string}} Action
 */

/** @type {Record<"pause" | "resume" | "trigger", Action>} */
const ACTIONS = {
  pause: { title: "Pause", command: "pause", operation: "pauseSchedule", means: "It fires no more until it is resumed. What would have fired meanwhile is not made up for." },
  resume: { title: "Resume", command: "resume", operation: "resumeSchedule", means: "It fires again, from now on." },
  trigger: { title: "Trigger", command: "trigger", operation: "triggerSchedule", means: "A run starts now, beside the times of the schedule." },
};

/** What begins by the clock: when next, how it went, and what can be done to it. */
export function Schedules() {
  const round = useSignal(0);
  const { value, problem } = usePolling((signal) => call("listSchedules", { signal }), [round.value], EVERY_MS);
  const chosen = useSignal(/** @type {{name: string, action: Action} | null} */ (null));
  const rows = value.value;
  return html`<div class="heading"><h1>Schedules</h1><span class="hint">what begins by the clock</span></div>
    <${ProblemNote} problem=${problem.value} isKept=${rows !== null} />
    ${rows?.length === 0 && html`<${Empty} />`}
    ${rows?.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Schedules"><table>
      <thead><tr><th scope="col">Schedule</th><th scope="col">Workflow</th><th scope="col">When</th><th scope="col">Next</th>
        <th scope="col">Last run</th><th scope="col">Started</th><th scope="col">Left out</th><th scope="col">What can be done</th></tr></thead>
      <tbody>${rows.map((/** @type {any} */ row) => html`<${Row} key=${row.schedule.name} row=${row}
        choose=${(/** @type {Action} */ action) => (chosen.value = { name: row.schedule.name, action })} />`)}</tbody>
    </table></div>`}
    ${chosen.value && html`<${ScheduleDialog} ...${chosen.value} onDone=${() => (round.value += 1)} onClose=${() => (chosen.value = null)} />`}`;
}

function Empty() {
  const text = curl("putSchedule", { name: "nightly" }, { workflow: "greeting", cron: "0 2 * * *", timezone: "UTC" });
  return html`<p role="status">Nothing begins by the clock.</p>
    <div class="panel"><h2>Start a published workflow each night</h2><${Command} label="curl" text=${text} /></div>`;
}

/** @param {{row: any, choose: (action: Action) => void}} properties */
function Row({ row: { schedule, progress }, choose }) {
  const isOpen = useSignal(false);
  const id = `schedule-${schedule.name}`;
  const when = schedule.cron || `every ${schedule.every_seconds} s`;
  return html`<tr>
    <td><button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
      onClick=${() => (isOpen.value = !isOpen.value)}>${schedule.name}</button></td>
    <td><a href=${link(["runs"], new URLSearchParams({ workflow: schedule.workflow.split("@")[0] }))}>${schedule.workflow}</a></td>
    <td><code>${when}</code> <span class="hint">${schedule.timezone}</span></td>
    <td>${schedule.paused ? html`<span class="status is-paused"><span aria-hidden="true">‖</span> paused</span>` : html`<${Time} ms=${progress.next_ms} />`}</td>
    <td>${progress.last_run && html`<a href=${link(["runs", progress.last_run])}><${Time} ms=${progress.last_ms} /></a>`}</td>
    <td class="number">${progress.started}</td>
    <td class="error">${leftOut(progress)}</td>
    <td><button type="button" onClick=${() => choose(schedule.paused ? ACTIONS.resume : ACTIONS.pause)}>${schedule.paused ? "Resume" : "Pause"}</button>
      ${" "}<button type="button" onClick=${() => choose(ACTIONS.trigger)}>Trigger</button></td>
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="8">
    <${Loaded} operation="nextFirings" path=${{ name: schedule.name }} draw=${(/** @type {{starts_ms: number}[]} */ times) => times.length === 0 ? html`<p>It does not fire.</p>` : html`<p>Its next times, in the time zone
      of this browser:</p><ul>${times.map(({ starts_ms }) => html`<li key=${starts_ms}><${Time} ms=${starts_ms} /></li>`)}</ul>`} />
  </td></tr>`}`;
}

/** @param {any} progress */
function leftOut({ skipped, missed, error }) {
  return [skipped && `${skipped} while one ran`, missed && `${missed} too late`, error].filter(Boolean).join(", ");
}

/** @param {{name: string, action: Action, onDone: () => void, onClose: () => void}} properties */
function ScheduleDialog({ name, action, onDone, onClose }) {
  const here = document.baseURI.split("#")[0].replace(/\/$/, "");
  const words = ["openagents", "schedules", action.command, name, "--url", here];
  const send = async (/** @type {import("../api.js").Attempt} */ attempt) => {
    await call(action.operation, { path: { name }, attempt });
    onDone();
  };
  const commands = [
    { label: "The same by the command line", text: words.map(quoted).join(" ") },
    { label: "The same over HTTP", text: curl(action.operation, { name }) },
  ];
  return html`<${Dialog} title=${`${action.title} ${name}`} means=${action.means} isWrong=${false} send=${send} onClose=${onClose} commands=${commands} />`;
}
