/** When a page asks again: soon after something has happened, not all pages at once, and not before somebody looks. */
import { follow, LOOK } from "./events.js";
import { useEffect, useRef } from "./html.js";

/** Milliseconds from something that happens until a page asks: what happens meanwhile is asked for once. */
export const SOON = 700;
/** Of what grows with every epoch and is long: what is short comes with the events. */
export const SELDOM = 5000;

/**
 * Call `work()` now if somebody sees this page, else as soon as somebody does; until the function that is returned is
 * called.
 */
export function whenSeen(work) {
  if (!document.hidden) {
    work();
    return () => {};
  }
  const seen = () => {
    if (document.hidden) return;
    forget();
    work();
  };
  const forget = () => document.removeEventListener("visibilitychange", seen);
  document.addEventListener("visibilitychange", seen);
  return forget;
}

/** A function that has `work()` called after once to twice as long, by chance, however often it is called meanwhile. */
export function later(milliseconds, work) {
  let timer = null;
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, milliseconds * (1 + Math.random()));
  };
  soon.stop = () => clearTimeout(timer);
  return soon;
}

/**
 * Call `look()` after something has happened, as lib/events.js tells it: `breath(message)` says within how long, SOON or
 * SELDOM, and is 0 for what does not matter. It is once to twice as long, by chance: of many pages each hears of it at the
 * same moment.
 */
export function useNews(breath, look) {
  const now = useRef();
  now.current = { breath, look };
  useEffect(() => {
    let forget = () => {};
    const looks = () => {
      forget();
      forget = whenSeen(() => now.current.look());
    };
    const turns = { [SOON]: later(SOON, looks), [SELDOM]: later(SELDOM, looks) };
    const stop = follow(null, (message) => turns[message.event === LOOK ? SOON : now.current.breath(message)]?.());
    return () => {
      stop();
      forget();
      Object.values(turns).forEach((turn) => turn.stop());
    };
  }, []);
}
