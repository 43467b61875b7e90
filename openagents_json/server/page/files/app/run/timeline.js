import { html, useMemo, useSignal } from "../../vendored/preact.js";
import { duration, mark } from "../formats.js";
import { useKept } from "../parts/kept.js";
import { axis, placeOf } from "./axis.js";
import { groupsOf, unfolded } from "./folding.js";

const SHOWN = 200;

/** What a span can be, as the legend says it. */
const KINDS = Object.freeze({
  queued: "ready, no worker yet",
  gated: "held by a limit",
  attempt: "attempt",
  failed: "attempt that failed",
  retry: "until the next attempt",
  wait: "waits",
  group: "its steps are under way",
});

/**
 * When the steps of a run were worked on and when they waited, up to the moment that is shown.
 * @param {{timeline: any, untilMs: number | null, chosen: string, onChoose: (path: string) => void}} properties
 */
export function Timeline({ timeline, untilMs, chosen, onChoose }) {
  const most = useSignal(SHOWN);
  const beganMs = timeline.began_ms;
  const endedMs = Math.max(timeline.ended_ms ?? timeline.now_ms, beganMs + 1);
  const isFolded = useSignal(true);
  const { stretches, scale } = useMemo(() => {
    const parts = axis(timeline.bars, beganMs, endedMs, isFolded.value);
    return { stretches: parts, scale: (/** @type {number} */ ms) => placeOf(parts, ms) };
  }, [timeline, isFolded.value]);
  const kept = useKept();
  const cursor = untilMs === null ? null : scale(untilMs);
  const isEach = useSignal(false);
  const groups = useMemo(() => groupsOf(timeline.bars), [timeline]);
  const open = useMemo(() => unfolded(timeline.bars, isEach.value ? new Map() : groups, new Set(), chosen), [timeline, groups, isEach.value, chosen]);
  const bars = useMemo(() => open.slice(0, most.value), [open, most.value]);
  const untilAll = untilMs ?? endedMs;
  return html`<div class="timeline">
    <${Patterns} />
    <${Legend} bars=${bars} />
    <div class="moving">
      <ol class="rows">
        ${bars.map((/** @type {any} */ bar) => {
          const until = changesUntil(bar, untilAll);
          return kept(bar.path, [bar, scale, until, bar.path === chosen, onChoose], () => html`<${Row} key=${bar.path} bar=${bar}
            scale=${scale} untilMs=${until} isChosen=${bar.path === chosen} onChoose=${onChoose} />`);
        })}
      </ol>
      ${cursor !== null && html`<svg class="cursors" aria-hidden="true">
        <line class="cursor" x1=${`${cursor}%`} x2=${`${cursor}%`} y1="0" y2="100%" /></svg>`}
    </div>
    <${Axis} stretches=${stretches} beganMs=${beganMs} />
    <label class="check"><input type="checkbox" checked=${isFolded.value}
      onChange=${(/** @type {any} */ event) => (isFolded.value = event.target.checked)} /> Fold times in which everything waits</label>
    ${groups.size > 0 && html`<label class="check"><input type="checkbox" checked=${isEach.value}
      onChange=${(/** @type {any} */ event) => (isEach.value = event.target.checked)} /> Show each item of ${[...groups.keys()].join(", ")}</label>`}
    ${open.length > bars.length && html`<button type="button" onClick=${() => (most.value += SHOWN)}>
      Show more: ${open.length - bars.length} are left</button>`}
  </div>`;
}

/** @param {{stretches: import("./axis.js").Stretch[], beganMs: number}} properties */
function Axis({ stretches, beganMs }) {
  return html`<svg class="axis" role="img" aria-label="Time since the run began">
    ${stretches.map((stretch) => html`<line key=${stretch.fromMs} class=${stretch.isFolded ? "folded" : ""}
      x1=${`${stretch.from}%`} x2=${`${stretch.to}%`} y1="2" y2="2" />
      ${stretch.isFolded
        ? html`<text class="end" x=${`${stretch.to}%`} y="16">⋯ ${duration(stretch.toMs - stretch.fromMs)}<title>Folded: nothing but waiting</title></text>`
        : html`<text class="end" x=${`${stretch.to}%`} y="28">${duration(stretch.toMs - beganMs)}</text>`}`)}
  </svg>`;
}

/** @param {{bars: any[]}} properties */
function Legend({ bars }) {
  const there = useMemo(() => new Set(bars.flatMap((bar) => bar.spans.map(look))), [bars]);
  return html`<ul class="legend">
    ${Object.entries(KINDS).filter(([kind]) => there.has(kind)).map(([kind, means]) => html`<li key=${kind}>
      <svg width="24" height="12" aria-hidden="true"><rect class=${`span span-${kind}`} width="24" height="12" /></svg> ${means}
    </li>`)}
  </ul>`;
}

/** Patterns beside the colours: nobody has to tell them apart by colour alone. */
function Patterns() {
  return html`<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>
    <pattern id="pattern-queued" width="4" height="4" patternUnits="userSpaceOnUse"><circle cx="1" cy="1" r="0.9" /></pattern>
    <pattern id="pattern-gated" width="5" height="5" patternUnits="userSpaceOnUse"><rect width="2" height="5" /></pattern>
    <pattern id="pattern-retry" width="6" height="4" patternUnits="userSpaceOnUse"><rect width="6" height="1.4" /></pattern>
    <pattern id="pattern-wait" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2.5" height="6" /></pattern>
  </defs></svg>`;
}

/** @param {any} span */
function look(span) {
  return span.kind === "attempt" && span.error ? "failed" : span.kind;
}

/**
 * Return up to when a row is shown: before it begins and after it ends, moving on changes nothing of it.
 * @param {any} bar
 * @param {number} untilMs
 */
function changesUntil(bar, untilMs) {
  let [began, ended] = [Infinity, -Infinity];
  for (const span of bar.spans) {
    began = Math.min(began, span.began_ms);
    ended = Math.max(ended, span.ended_ms ?? Infinity);
  }
  return untilMs < began ? -Infinity : Math.min(untilMs, ended);
}

/** @param {{bar: any, scale: (ms: number) => number, untilMs: number, isChosen: boolean, onChoose: (path: string) => void}} properties */
function Row({ bar, scale, untilMs, isChosen, onChoose }) {
  const spans = bar.spans.filter((/** @type {any} */ span) => span.began_ms <= untilMs);
  return html`<li class=${isChosen ? "chosen" : ""}>
    <button type="button" class="row-name" title=${bar.path} onClick=${() => onChoose(bar.path)}>${bar.path}</button>
    <svg role="img" aria-label=${told(spans, untilMs)}>
      ${spans.map((/** @type {any} */ span) => html`<${Span} key=${`${span.kind}${span.began_ms}`} span=${span} scale=${scale} untilMs=${untilMs} />`)}
    </svg>
  </li>`;
}

/** @param {{span: any, scale: (ms: number) => number, untilMs: number}} properties */
function Span({ span, scale, untilMs }) {
  const end = Math.min(span.ended_ms ?? untilMs, untilMs);
  const x = scale(span.began_ms);
  const width = scale(end) - x;
  const isGroup = span.kind === "group";
  return html`<rect class=${`span span-${look(span)}`} x=${`${x}%`} width=${`${width}%`} y=${isGroup ? 9 : 4} height=${isGroup ? 4 : 14}>
    <title>${sentence(span, untilMs)}</title>
  </rect>`;
}

/**
 * @param {any} span
 * @param {number} untilMs
 */
function sentence(span, untilMs) {
  const took = duration(Math.min(span.ended_ms ?? untilMs, untilMs) - span.began_ms);
  const number = span.attempt ? ` ${span.attempt}` : "";
  const end = span.end ? ` ${mark(span.end)} ${span.end}` : "";
  return `${span.kind}${number}${end}: ${took}${span.worker ? ` by ${span.worker}` : ""}`;
}

/**
 * @param {any[]} spans
 * @param {number} untilMs
 */
function told(spans, untilMs) {
  return spans.map((span) => sentence(span, untilMs)).join("; ") || "not begun";
}
