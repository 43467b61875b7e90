import { useRef } from "../../vendored/preact.js";

/**
 * Keep what was drawn of each thing of a list: where nothing that it shows has changed, nothing is drawn again.
 * @returns {(key: string | number, shows: unknown[], draw: () => any) => any}
 */
export function useKept() {
  const kept = useRef(/** @type {Map<string | number, {shows: unknown[], drawn: any}>} */ (new Map()));
  return (key, shows, draw) => {
    const before = kept.current.get(key);
    if (before && isSame(before.shows, shows)) return before.drawn;
    const drawn = draw();
    kept.current.set(key, { shows, drawn });
    return drawn;
  };
}

/**
 * @param {unknown[]} one
 * @param {unknown[]} other
 */
function isSame(one, other) {
  return one.length === other.length && one.every((value, at) => Object.is(value, other[at]));
}
