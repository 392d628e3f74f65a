/** What a view shows while it waits, and after. */
import { useCallback, useEffect, useState } from "./html.js";

/**
 * Run `work(signal)` and follow it: {value, problem, busy, again}. It starts when `inputs` change, and what ran
 * before is stopped; the last value stays while the next is on its way, so that nothing jumps.
 */
export function useLoaded(work, inputs) {
  const [state, setState] = useState({ value: null, problem: null, busy: true });
  const [turn, setTurn] = useState(0);
  const again = useCallback(() => setTurn((one) => one + 1), []);
  useEffect(() => {
    const stopping = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    Promise.resolve(work(stopping.signal)).then(
      (value) => stopping.signal.aborted || setState({ value, problem: null, busy: false }),
      (problem) => stopping.signal.aborted || setState((before) => ({ ...before, problem, busy: false })),
    );
    return () => stopping.abort();
  }, [...inputs, turn]);
  return { ...state, again };
}
