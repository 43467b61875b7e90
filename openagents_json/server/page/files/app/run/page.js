import { html, useSignal } from "../../vendored/preact.js";
import { go, linkHere } from "../address.js";
import { call } from "../api.js";
import { ProblemNote, Status, Value } from "../parts/small.js";
import { usePolling } from "../polling.js";
import { Actions } from "./actions.js";
import { Family } from "./family.js";
import { Graph } from "./graph.js";
import { History } from "./history.js";
import { Insight } from "./insight.js";
import { useLiveRun } from "./live.js";
import { Slider, useMoment } from "./moment.js";
import { Output } from "./output.js";
import { Steps, rowsThen } from "./steps.js";
import { Summary } from "./summary.js";
import { Timeline } from "./timeline.js";

/**
 * One run: how it stands or stood, its graph, its times, its steps and events, and what can be done to it.
 * @param {{run: string, query: URLSearchParams}} properties
 */
export function Run({ run, query }) {
  const live = useLiveRun(run);
  const version = Math.max(0, Math.trunc(Number(query.get("at"))) || 0);
  const momentProblem = useSignal(/** @type {Error | null} */ (null));
  const moment = useMoment(run, version, (problem) => (momentProblem.value = problem));
  const overview = live.overview.value;
  const load = (/** @type {AbortSignal} */ signal) => call("getRunLayout", { path: { run }, signal });
  const layout = usePolling(load, [run, overview?.workflow_version], 0);
  if (overview === null) {
    return html`<h1>Run <code>${run}</code></h1><${ProblemNote} problem=${live.problem.value} />
      ${!live.problem.value && html`<p class="hint" role="status">Loading</p>`}`;
  }
  const { info } = overview;
  const events = live.events.value;
  const then = version > 0 ? moment.value?.info : null;
  const untilMs = version > 0 ? (events[version - 1]?.time_ms ?? null) : null;
  const shown = then ?? info;
  const rows = then ? rowsThen(overview.steps, then.steps, untilMs ?? Infinity) : overview.steps;
  const chosen = query.get("step") ?? "";
  const timeline = live.timeline.value;
  return html`
    <p class="crumbs"><a href="#/runs">Runs</a></p>
    <div class="heading">
      <h1>${info.workflow} <code class="id">${info.id}</code></h1>
      <span role="status"><${Status} status=${info.status} /></span>
    </div>
    <${ProblemNote} problem=${live.problem.value ?? momentProblem.value} isKept />
    ${!live.isConnected.value && html`<p class="problem" role="alert">The connection is lost; trying again. What is shown may be older.</p>`}
    <${Summary} overview=${overview} />
    <${Actions} info=${info} waits=${overview.waits} version=${version} onDone=${live.again} />
    <${Insight} run=${run} version=${info.version} other=${query.get("compare") ?? ""} />
    <div class="panel sticky">
      <${Slider} events=${events} version=${version} />
      ${then && html`<p class="then">As it was then: <${Status} status=${then.status} /></p>`}
    </div>
    <div class="columns wide">
      <section aria-labelledby="graph"><h2 id="graph">Graph</h2>
        <${ProblemNote} problem=${layout.problem.value} />
        ${layout.value.value && html`<${Graph} layout=${layout.value.value} steps=${shown.steps} chosen=${chosen} onChoose=${choose} />`}
      </section>
      <section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2>
        ${timeline && html`<${Timeline} timeline=${timeline} untilMs=${untilMs} chosen=${chosen} onChoose=${choose} />`}
      </section>
    </div>
    <section aria-labelledby="steps"><h2 id="steps">Steps</h2>
      <${Steps} rows=${rows} steps=${shown.steps} bars=${timeline?.bars ?? []} events=${events} nowMs=${untilMs ?? overview.now_ms} chosen=${chosen} />
    </section>
    <section aria-labelledby="data"><h2 id="data">Inputs and output</h2>
      <div class="columns">
        <${Value} label="Inputs" value=${shown.inputs} />
        <${Value} label="Output" value=${shown.output} />
      </div>
      <${Output} run=${run} />
    </section>
    ${(info.parent || Object.keys(info.children).length > 0) && html`<section aria-labelledby="family"><h2 id="family">Family</h2>
      <${Family} run=${run} /></section>`}
    <section aria-labelledby="history"><h2 id="history">History</h2><${History} run=${run} events=${events} version=${version} /></section>
  `;
}

/**
 * Choose a step, in the address too; chosen again, it is none.
 * @param {string} path
 */
function choose(path) {
  const here = new URLSearchParams(location.hash.split("?")[1]);
  go(linkHere({ step: here.get("step") === path ? null : path }), { replaces: true });
}
