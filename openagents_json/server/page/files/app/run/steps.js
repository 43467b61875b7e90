import { html, useMemo, useSignal } from "../../vendored/preact.js";
import { errorLine } from "../formats.js";
import { useKept } from "../parts/kept.js";
import { Status, Time, Took, Value } from "../parts/small.js";
import { groupsOf, shares, unfolded } from "./folding.js";
import { withoutIndexes } from "./standing.js";

const SHOWN = 200;

/**
 * Return the rows of steps as they were at a moment.
 * @param {any[]} rows as they are now
 * @param {any[]} steps of the run as it was then
 * @param {number} untilMs
 */
export function rowsThen(rows, steps, untilMs) {
  const stepOf = new Map(steps.map((step) => [step.id, step]));
  const before = (/** @type {number | null} */ ms) => (ms !== null && ms <= untilMs ? ms : null);
  return rows.map((row) => {
    const step = stepOf.get(row.path);
    const times = { began_ms: before(row.began_ms), ended_ms: before(row.ended_ms) };
    const standing = step
      ? { status: step.status, attempts: step.attempt, error: step.error }
      : { status: "not begun", attempts: 0, error: null, began_ms: null, ended_ms: null };
    return { ...row, ...times, ...standing, reason: "", counts: null };
  });
}

/**
 * The steps of a run; each can be opened to what it was given, what it returned, and its attempts.
 * @param {{rows: any[], steps: any[], bars: any[], events: any[], nowMs: number, chosen: string}} properties
 */
export function Steps({ rows, steps, bars, events, nowMs, chosen }) {
  const most = useSignal(SHOWN);
  const stepOf = new Map(steps.map((step) => [step.id, step]));
  const barOf = new Map(bars.map((bar) => [bar.path, bar]));
  const builds = useMemo(() => buildsOf(events), [events]);
  const kept = useKept();
  const opened = useSignal(/** @type {ReadonlySet<string>} */ (new Set()));
  const groups = useMemo(() => groupsOf(rows), [rows]);
  const open = useMemo(() => unfolded(rows, groups, opened.value, chosen), [rows, groups, opened.value, chosen]);
  const shown = open.slice(0, most.value);
  const toggle = (/** @type {string} */ path) => {
    const others = [...opened.value].filter((each) => each !== path);
    opened.value = new Set(opened.value.has(path) ? others : [...others, path]);
  };
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Steps"><table class="steps">
    <thead><tr>
      <th scope="col">Step</th><th scope="col">Status</th><th scope="col">Attempts</th>
      <th scope="col">Began</th><th scope="col">Took</th><th scope="col">What is with it</th>
    </tr></thead>
    <tbody>${shown.map((row) => {
      const isChosen = chosen !== "" && (row.path === chosen || withoutIndexes(row.path) === chosen);
      const step = stepOf.get(row.path);
      const bar = barOf.get(row.path);
      const until = row.began_ms ? (row.ended_ms ?? nowMs) : 0;
      const group = groups.get(row.path);
      const isOpen = opened.value.has(row.path);
      const shows = [group?.items, group && Object.entries(group.counts).join(), isOpen, row.status, row.attempts, row.began_ms, until, row.reason, row.counts && counted(row), errorLine(row.error), bar, !step, builds, isChosen];
      return kept(row.path, shows, () => html`<${Row} key=${row.path} row=${row} step=${step} bar=${bar} builds=${builds} nowMs=${until} isChosen=${isChosen}
        group=${group} isUnfolded=${isOpen} toggle=${toggle} />`);
    })}</tbody>
  </table></div>
  ${open.length > shown.length && html`<button type="button" onClick=${() => (most.value += SHOWN)}>
    Show more: ${open.length - shown.length} are left</button>`}`;
}

/**
 * Return which build of its component each attempt ran, by step and number.
 * @param {any[]} events
 */
function buildsOf(events) {
  const began = events.filter(({ type, data }) => type === "StepStarted" && data?.build);
  return new Map(began.map(({ step, attempt, data }) => [`${step} ${attempt}`, data.build]));
}

/**
 * @param {{row: any, step: any, bar: any, builds: Map<string, string>, nowMs: number, isChosen: boolean,
 *   group: import("./folding.js").Group | undefined, isUnfolded: boolean, toggle: (path: string) => void}} properties
 */
function Row({ row, step, bar, builds, nowMs, isChosen, group, isUnfolded, toggle }) {
  const isOpen = useSignal(false);
  const depth = row.path.split(".").length - 1;
  const id = `step-${row.path}`;
  return html`<tr class=${isChosen ? "chosen" : ""}>
    <td class=${`depth-${Math.min(depth, 5)}`}>
      ${step
        ? html`<button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
            onClick=${() => (isOpen.value = !isOpen.value)}><code>${row.path}</code></button>`
        : html`<code>${row.path}</code>`}
      ${row.kind && html` <span class="hint">${row.kind}</span>`}
    </td>
    <td><${Status} status=${row.status} /></td>
    <td class="number">${row.attempts > 0 ? row.attempts : ""}</td>
    <td><${Time} ms=${row.began_ms} /></td>
    <td><${Took} from=${row.began_ms} to=${row.began_ms && (row.ended_ms ?? nowMs)} /></td>
    <td class="error">${group && html`<${Items} group=${group} isOpen=${isUnfolded} onClick=${() => toggle(row.path)} />`}${" "}
      ${row.counts && counted(row)} ${errorLine(row.error)} ${row.reason}</td>
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="6"><${Details} step=${step} bar=${bar} builds=${builds} usage=${row.usage} nowMs=${nowMs} /></td></tr>`}`;
}

/**
 * The items of a step that are folded into its row: a bar of how they stand, and what shows each of them.
 * @param {{group: import("./folding.js").Group, isOpen: boolean, onClick: () => void}} properties
 */
function Items({ group, isOpen, onClick }) {
  const parts = Object.entries(group.counts);
  const widths = shares(group.counts);
  let left = 0;
  return html`${parts.length > 0 && html`<svg class="items" role="img" aria-label=${parts.map(([status, count]) => `${count} ${status}`).join(", ")}>
      ${parts.map(([status]) => {
        const width = widths[status];
        left += width;
        return html`<rect key=${status} class=${`count-part is-${status}`} x=${`${left - width}%`} width=${`${width}%`} height="8" />`;
      })}
    </svg>`}
    <button type="button" class="fold" aria-expanded=${isOpen ? "true" : "false"} onClick=${onClick}>${group.items} items</button> `;
}

/** @param {any} row */
function counted(row) {
  const parts = Object.entries(row.counts).filter(([, count]) => count).map(([status, count]) => `${count} ${status}`);
  return `${parts.join(", ")}${row.total >= 0 ? ` of ${row.total}` : ""}`;
}

/** @param {{step: any, bar: any, builds: Map<string, string>, usage: any, nowMs: number}} properties */
function Details({ step, bar, builds, usage, nowMs }) {
  const attempts = (bar?.spans ?? []).filter(
    (/** @type {any} */ span) => span.kind === "attempt" && span.began_ms <= nowMs,
  );
  return html`${attempts.length > 0 && html`<table>
    <caption>Attempts</caption>
    <thead><tr><th scope="col">Number</th><th scope="col">Ended</th><th scope="col">Began</th><th scope="col">Took</th>
      <th scope="col">Worker</th><th scope="col">Build</th><th scope="col">Error</th></tr></thead>
    <tbody>${attempts.map((/** @type {any} */ span) => html`<tr key=${span.began_ms}>
      <td class="number">${span.attempt}</td><td><${Status} status=${span.end || "started"} /></td>
      <td><${Time} ms=${span.began_ms} /></td><td><${Took} from=${span.began_ms} to=${span.ended_ms ?? nowMs} /></td>
      <td><code>${span.worker}</code></td><td><code>${builds.get(`${step.id} ${span.attempt}`)}</code></td><td class="error">${errorLine(span.error)}</td>
    </tr>`)}</tbody>
  </table>`}
  <div class="columns">
    <${Value} label="Inputs" value=${step.inputs} />
    ${step.error ? html`<${Value} label="Error" value=${step.error} />` : html`<${Value} label="Output" value=${step.output} />`}
    ${usage && html`<${Value} label="Usage" value=${usage} />`}
  </div>`;
}
