import { signal } from "../../vendored/preact.js";
import { go } from "../address.js";

/** The file that was dropped on the page last. */
export const dropped = signal(/** @type {File | null} */ (null));

addEventListener("dragover", (event) => {
  if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
addEventListener("drop", (event) => {
  const file = event.dataTransfer?.files[0];
  if (!file) return;
  // Otherwise the browser would leave the page for the file.
  event.preventDefault();
  dropped.value = file;
  go("#/capsule");
});
