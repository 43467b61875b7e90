import { html, render, useEffect, useRef } from "../vendored/preact.js";
import { address } from "./address.js";
import { apiKey } from "./key.js";
import { Frame } from "./parts/frame.js";
import { Run } from "./run/page.js";
import { Runs } from "./runs/page.js";

/** @type {Record<string, [string, (properties: any) => any]>} */
const PAGES = { runs: ["Runs", Runs] };

function Page() {
  const { path, query } = address.value;
  const [section, name] = path;
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const isFirst = useRef(true);
  const where = path.join("/");
  const [title, List] = PAGES[section] ?? ["Nothing here", Nothing];
  useEffect(() => {
    document.title = `${name ?? title} – OpenAgents JSON`;
    // Who goes on by keyboard or hears the page begins at what is new.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
  }, [where]);
  const isRun = section === "runs" && name;
  return html`<${Frame} section=${section}>
    <main id="main" tabindex="-1" ref=${heading} key=${apiKey.value}>
      ${isRun ? html`<${Run} run=${name} query=${query} key=${name} />` : html`<${List} query=${query} />`}
    </main>
  <//>`;
}

function Nothing() {
  return html`<h1>Nothing here</h1><p>This address leads to no part of the page. <a href="#/runs">All runs</a></p>`;
}

const root = /** @type {HTMLElement} */ (document.getElementById("page"));
root.replaceChildren();
render(html`<${Page} />`, root);
