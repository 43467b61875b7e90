import { html, useEffect, useSignal } from "../../vendored/preact.js";

/**
 * A part of the page whose code is loaded when somebody goes there; all other properties are its own.
 * @param {{load: () => Promise<(properties: any) => any>, [name: string]: any}} properties
 */
export function Later({ load, ...properties }) {
  const part = useSignal(/** @type {{Part: (properties: any) => any} | null} */ (null));
  const isLost = useSignal(false);
  useEffect(() => {
    load().then((Part) => (part.value = { Part })).catch(() => (isLost.value = true));
  }, [load]);
  if (part.value) return html`<${part.value.Part} ...${properties} />`;
  if (!isLost.value) return html`<p class="hint" role="status">Loading</p>`;
  // Where the service was upgraded meanwhile, the files of this page are gone: only the page as it is now has its own.
  return html`<div class="problem" role="alert"><strong>This part of the page cannot be loaded.</strong>
    <button type="button" onClick=${() => location.reload()}>Load the page anew</button></div>`;
}
