// What the page uses of its libraries.
import { h } from "preact";
import htm from "htm";

export { Fragment, render } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
export { batch, computed, effect, signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
export const html = htm.bind(h);
