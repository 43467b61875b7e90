import { html } from "../../vendored/preact.js";
import { call } from "../api.js";
import { usePolling } from "../polling.js";
import { ProblemNote } from "./small.js";

/**
 * What an operation answers, drawn when it is there.
 * @param {{operation: string, path?: Record<string, string>, draw: (answer: any) => any}} properties
 */
export function Loaded({ operation, path = {}, draw }) {
  const { value, problem } = usePolling((signal) => call(operation, { path, signal }), [operation, JSON.stringify(path)], 0);
  if (problem.value) return html`<${ProblemNote} problem=${problem.value} />`;
  return value.value === null ? html`<p class="hint" role="status">Loading</p>` : draw(value.value);
}
