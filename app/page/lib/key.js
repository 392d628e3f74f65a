/** The key of a guarded service: asked for once, kept for this tab only. */
const NAME = "convserve-key";

let waiting = null;
let listener = () => {};
const takers = [];

/** The key of this tab, or null. */
export function key() {
  return sessionStorage.getItem(NAME);
}

/** Call `listen(wrong)` when a key is wanted; `wrong` says that the last one was refused. */
export function onAsked(listen) {
  listener = listen;
  if (waiting) listen(waiting.wrong);
}

/** Wait until there is another key than the one that was refused. All who wait share one question. */
export function askForKey(refused) {
  if (key() !== refused) return Promise.resolve();
  if (!waiting) {
    let answer;
    const promise = new Promise((resolve) => (answer = resolve));
    waiting = { promise, answer, wrong: refused !== null };
    listener(waiting.wrong);
  }
  return waiting.promise;
}

/** Call `take()` whenever another key was typed. */
export function onGiven(take) {
  takers.push(take);
}

/** Take the key that somebody typed. */
export function giveKey(text) {
  sessionStorage.setItem(NAME, text);
  takers.forEach((take) => take());
  waiting?.answer();
  waiting = null;
}
