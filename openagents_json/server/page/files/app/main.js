import { html, render, useEffect, useRef } from "../vendored/preact.js";
import { address } from "./address.js";
import { apiKey } from "./key.js";
import { Catalog } from "./catalog/page.js";
import { Workflow } from "./catalog/workflow.js";
import { Failures } from "./lists/failures.js";
import { HooksPage } from "./lists/hooks.js";
import { Inbox } from "./lists/inbox.js";
import { Schedules } from "./lists/schedules.js";
import { Workers } from "./lists/workers.js";
import { Frame } from "./parts/frame.js";
import { Run } from "./run/page.js";
import { Runs } from "./runs/page.js";

/**
 * The sections, each with its title and its list.
 * @type {Record<string, [string, (properties: any) => any]>}
 */
const LISTS = {
  runs: ["Runs", Runs],
  inbox: ["Inbox", Inbox],
  failures: ["Failures", Failures],
  catalog: ["Catalog", Catalog],
  schedules: ["Schedules", Schedules],
  hooks: ["Hooks", HooksPage],
  workers: ["Workers", Workers],
};

function Page() {
  const { path, query } = address.value;
  const [section, name] = path;
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const isFirst = useRef(true);
  const where = path.join("/");
  const [title] = LISTS[section] ?? ["Nothing here"];
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
  if (section === "catalog" && version) return html`<${Workflow} workflow=${name} version=${version} key=${path.join("@")} />`;
  const [, List] = LISTS[section] ?? ["", Nothing];
  return html`<${List} query=${query} />`;
}

function Nothing() {
  return html`<h1>Nothing here</h1><p>This address leads to no part of the page. <a href="#/runs">All runs</a></p>`;
}

const root = /** @type {HTMLElement} */ (document.getElementById("page"));
root.replaceChildren();
render(html`<${Page} />`, root);
