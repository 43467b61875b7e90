// What the vendored module gives, for the check of types.
export { Fragment, render } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
export {
  batch, computed, effect, signal, useComputed, useSignal, useSignalEffect, type ReadonlySignal, type Signal,
} from "@preact/signals";
export declare function html(strings: TemplateStringsArray, ...values: unknown[]): any;
