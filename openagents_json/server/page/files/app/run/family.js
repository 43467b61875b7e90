import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { Asked } from "../parts/asked.js";
import { Status, Time } from "../parts/small.js";

/** So many runs are shown of a family, so far down, and so many of each run's. */
const MOST = 200;
const DEEPEST = 8;
const CHILDREN = "50";

/**
 * A run of a family, with those that it has started.
 * @typedef {{row: any, children: Member[]}} Member
 */

/**
 * The runs that a run has started, and those that they have: what it has set going, in one look.
 * @param {{run: string}} properties
 */
export function Family({ run }) {
  return html`<${Asked} title="Show its family" ask=${() => childrenOf(run, { left: MOST }, DEEPEST)}
    draw=${(/** @type {Member[]} */ members) => (members.length === 0 ? html`<p>It has started no runs.</p>` : html`<${Members} members=${members} />`)} />`;
}

/** @param {{members: Member[]}} properties */
function Members({ members }) {
  return html`<ul class="family">${members.map(({ row, children }) => html`<li key=${row.id}>
    <${Status} status=${row.status} /> ${row.workflow} <a class="id" href=${link(["runs", row.id])}>${row.id}</a> <span class="hint"><${Time} ms=${row.started_ms} /></span>
    ${children.length > 0 && html`<${Members} members=${children} />`}
  </li>`)}</ul>`;
}

/**
 * @param {string} run
 * @param {{left: number}} room
 * @param {number} depth
 * @returns {Promise<Member[]>}
 */
async function childrenOf(run, room, depth) {
  if (depth === 0 || room.left <= 0) return [];
  const query = new URLSearchParams({ parent: run, limit: CHILDREN });
  const { items } = await call("listRuns", { query });
  const shown = items.slice(0, room.left);
  room.left -= shown.length;
  const members = [];
  // One after the other: a large family must not become a hundred requests at once.
  for (const row of shown) members.push({ row, children: await childrenOf(row.id, room, depth - 1) });
  return members;
}
