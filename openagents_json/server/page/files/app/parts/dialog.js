import { html, useEffect, useRef, useSignal } from "../../vendored/preact.js";
import { Command, ProblemNote } from "./small.js";

/**
 * What is done to something: its fields, a button that does it, and the commands that do the same.
 * @param {object} properties
 * @param {string} properties.title
 * @param {string} properties.means
 * @param {boolean} properties.isWrong whether a field holds what cannot be sent
 * @param {(attempt: import("../api.js").Attempt) => Promise<void>} properties.send
 * @param {() => void} properties.onClose
 * @param {{label: string, text: string}[]} properties.commands
 * @param {any} properties.children
 */
export function Dialog({ title, means, isWrong, send, onClose, commands, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const problem = useSignal(/** @type {Error | null} */ (null));
  const isSending = useSignal(false);
  const attempt = useRef({ body: "", key: "" });
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    isSending.value = true;
    try {
      await send(attempt.current);
      dialog.current?.close();
    } catch (error) {
      problem.value = /** @type {Error} */ (error);
    } finally {
      isSending.value = false;
    }
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="dialog-title">
    <form onSubmit=${submit}>
      <h2 id="dialog-title">${title}</h2>
      <p>${means}</p>
      ${children}
      <${ProblemNote} problem=${problem.value} />
      <div class="actions">
        <button class="main" type="submit" disabled=${isSending.value || isWrong}>${title}</button>
        <button type="button" onClick=${() => dialog.current?.close()}>Leave it</button>
      </div>
      ${commands.map((command) => html`<${Command} key=${command.label} label=${command.label} text=${command.text} />`)}
    </form>
  </dialog>`;
}
