import { html, useMemo, useSignal } from "../../vendored/preact.js";
import { mark } from "../formats.js";
import { useKept } from "../parts/kept.js";
import { shares } from "./folding.js";
import { standings } from "./standing.js";

/** @type {import("./standing.js").Standing} */
const NOT_BEGUN = { status: "not begun", text: "not begun", counts: {} };
const WIDE = 8;
const HIGH = 18;
const ZOOMS = [0.25, 0.5, 0.75, 1, 1.5];
const FULL_SIZE = ZOOMS.indexOf(1);

/**
 * The graph of a run: where its steps stand comes from the service, how they stand from the moment that is shown.
 * Without steps, it is that of a workflow.
 * @param {{layout: any, steps: any[] | null, chosen: string, onChoose: (path: string) => void}} properties
 */
export function Graph({ layout, steps, chosen, onChoose }) {
  const standing = useMemo(() => steps && standings(steps), [steps]);
  const ways = useMemo(() => waysOf(layout), [layout]);
  const kept = useKept();
  const width = (layout.width + 2) * WIDE;
  const height = (layout.height + 1) * HIGH;
  const zoom = useSignal(FULL_SIZE);
  const scale = ZOOMS[zoom.value];
  return html`<div class="zoom" role="group" aria-label="Size of the graph">
      <button type="button" aria-label="Smaller" disabled=${zoom.value === 0} onClick=${() => (zoom.value -= 1)}>−</button>
      <span class="number" role="status">${100 * scale} %</span>
      <button type="button" aria-label="Larger" disabled=${zoom.value === ZOOMS.length - 1} onClick=${() => (zoom.value += 1)}>+</button>
    </div>
    <div class="scroll graph" tabindex="0" role="group" aria-label="Graph of the steps">
    <svg width=${width * scale} height=${height * scale} viewBox=${`0 0 ${width} ${height}`}>
      <path class="ways" d=${ways.lines} />
      <path class="head" d=${ways.heads} />
      ${layout.steps.map((/** @type {any} */ step) => {
        const its = standing && (standing.get(step.path) ?? NOT_BEGUN);
        const shows = [step, its?.status, its?.text, Object.entries(its?.counts ?? {}).join(), step.path === chosen, onChoose];
        return kept(step.path, shows, () => html`<${Box} key=${step.path} step=${step} standing=${its}
          isChosen=${step.path === chosen} onChoose=${onChoose} />`);
      })}
    </svg>
  </div>`;
}

const middleX = (/** @type {number} */ x) => (x + 1) * WIDE + WIDE / 2;
const middleY = (/** @type {number} */ y) => y * HIGH + HIGH;

/**
 * Return all lines as one path and all heads of arrows as another: a thousand elements are slower than one.
 * @param {{lines: {x: number, y: number, to_x: number, to_y: number}[], heads: {x: number, y: number}[]}} layout
 */
function waysOf({ lines, heads }) {
  const parts = lines.map(({ x, y, to_x, to_y }) => `M${middleX(x)} ${middleY(y)}L${middleX(to_x)} ${middleY(to_y)}`);
  const tips = heads.map(({ x, y }) => {
    const [middle, top] = [middleX(x), middleY(y)];
    parts.push(`M${middle} ${top}v9`);
    return `M${middle - 4} ${top + 8}h8l-4 ${HIGH - 8}Z`;
  });
  return { lines: parts.join(""), heads: tips.join("") };
}

/** @param {{step: any, standing: import("./standing.js").Standing | null, isChosen: boolean, onChoose: (path: string) => void}} properties */
function Box({ step, standing, isChosen, onChoose }) {
  const status = standing?.status ?? "";
  const [x, y] = [middleX(step.x), middleY(step.y)];
  const width = (step.width - 1) * WIDE;
  const choose = (/** @type {Event} */ event) => {
    if (event instanceof KeyboardEvent && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onChoose(step.path);
  };
  return html`<g class=${`box is-${status.replace(" ", "-")}`} tabindex="0" role="button" aria-pressed=${isChosen ? "true" : "false"}
      onClick=${choose} onKeyDown=${choose}>
    <rect x=${x} y=${y} width=${width} height=${(step.height - 1) * HIGH} rx="4" />
    ${step.texts.map((/** @type {string} */ words, /** @type {number} */ row) =>
      words === ""
        ? standing && html`<text class="standing" x=${x + 12} y=${y + (row + 1) * HIGH + 4}>${mark(status)} ${cut(standing.text, step.width - 6)}</text>
            <${CountBar} counts=${standing.counts} x=${x + 12} y=${y + (row + 1) * HIGH + 9} width=${width - 24} />`
        : html`<text class=${row === 0 ? "title" : ""} x=${x + 12} y=${y + (row + 1) * HIGH + 4}>${words}</text>`,
    )}
  </g>`;
}

/**
 * How the items of a step stand, as a bar.
 * @param {{counts: Record<string, number>, x: number, y: number, width: number}} properties
 */
function CountBar({ counts, x, y, width }) {
  let left = x;
  return Object.entries(shares(counts)).map(([status, percent]) => {
    const part = (percent / 100) * width;
    left += part;
    return html`<rect class=${`count-part is-${status}`} key=${status} x=${left - part} y=${y} width=${part} height="3" />`;
  });
}

/**
 * @param {string} text
 * @param {number} most
 */
function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
