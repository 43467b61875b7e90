import { html, render, useEffect, useRef } from "../vendored/preact.js";
import { address } from "./address.js";
import "./capsule/dropped.js";
import { apiKey } from "./key.js";
import { Frame } from "./parts/frame.js";
import { Later } from "./parts/later.js";
import { Run } from "./run/page.js";
import { Runs } from "./runs/page.js";

/**
 * The sections, each with its title and what loads its list; of these, a browser gets the code when it goes there.
 * @type {Record<string, [string, () => Promise<(properties: any) => any>]>}
 */
const LISTS = {
  capsule: ["A run in a file", async () => (await import("./capsule/page.js")).CapsulePage],
  inbox: ["Inbox", async () => (await import("./lists/inbox.js")).Inbox],
  failures: ["Failures", async () => (await import("./lists/failures.js")).Failures],
  catalog: ["Catalog", async () => (await import("./catalog/page.js")).Catalog],
  schedules: ["Schedules", async () => (await import("./lists/schedules.js")).Schedules],
  hooks: ["Hooks", async () => (await import("./lists/hooks.js")).HooksPage],
  queues: ["Queues", async () => (await import("./lists/queues.js")).Queues],
  audit: ["Audit", async () => (await import("./lists/audit.js")).Audit],
  settings: ["Settings", async () => (await import("./lists/settings.js")).Settings],
  workers: ["Workers", async () => (await import("./lists/workers.js")).Workers],
};

const loadWorkflow = async () => (await import("./catalog/workflow.js")).Workflow;

function Page() {
  const { path, query } = address.value;
  const [section, name] = path;
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const isFirst = useRef(true);
  const where = path.join("/");
  const title = section === "runs" ? "Runs" : (LISTS[section]?.[0] ?? "Nothing here");
  useEffect(() => {
    document.title = `${name ?? title} – OpenAgents JSON`;
    // Who goes on by keyboard or hears the page begins at what is new.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
  }, [where]);
  return html`<${Frame} section=${section}>
    <main id="main" tabindex="-1" ref=${heading} key=${apiKey.value}>${content(path, query)}</main>
  <//>`;
}

/**
 * @param {string[]} path
 * @param {URLSearchParams} query
 */
function content(path, query) {
  const [section, name, version] = path;
  if (section === "runs" && name) return html`<${Run} run=${name} query=${query} key=${name} />`;
  if (section === "runs") return html`<${Runs} query=${query} />`;
  if (section === "catalog" && version) {
    return html`<${Later} key=${path.join("@")} load=${loadWorkflow} workflow=${name} version=${version} />`;
  }
  const list = LISTS[section];
  return list ? html`<${Later} key=${section} load=${list[1]} query=${query} />` : html`<${Nothing} />`;
}

function Nothing() {
  return html`<h1>Nothing here</h1><p>This address leads to no part of the page. <a href="#/runs">All runs</a></p>`;
}

const root = /** @type {HTMLElement} */ (document.getElementById("page"));
root.replaceChildren();
render(html`<${Page} />`, root);
