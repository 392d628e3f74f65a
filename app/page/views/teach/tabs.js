/**
 * One tab at a time has the lesson, so that none undoes what another does: whoever holds the lock. Where browsers have no
 * locks (plain http from another machine) a write behind another tab's back is refused; see kept.js.
 */
import { close, lesson, restore, shown } from "./lesson.js";
import { abandon, resume, run } from "./run.js";

const NAME = `convserve-teach ${new URL(document.baseURI).pathname}`;
/** A tab that was closed just now lets go of the lock within this time. */
const LATE_MS = 300;
/** A tab that has not answered after this time is told of. */
const SILENT_MS = 3000;
const SENDING = new Set(["starting", "packing", "uploading"]);

/** What the view shows in place of the lesson while another tab has it: null, or {words} of its answer. */
export const elsewhere = { now: null };

let channel = null;
let letGo = null;
let entering = null;
let silent = 0;

/** Have the lesson in this tab as soon as no other has it, and pick up what was under way. */
export function enter() {
  entering ??= (async () => {
    // what the other tab has answered meanwhile stays
    const late = setTimeout(() => elsewhere.now || say({ words: "" }), LATE_MS);
    if (navigator.locks) await lock();
    clearTimeout(late);
    clearTimeout(silent);
    say(null);
    await restore();
  })();
  return entering.then(resume);
}

/** Ask the tab that has the lesson to let this one go on with it. */
export function takeOver() {
  say({ words: "" });
  channel.postMessage("give");
  clearTimeout(silent);
  silent = setTimeout(() => elsewhere.now && !elsewhere.now.words && say({ words: "The other tab does not answer. Close it: then it goes on here." }), SILENT_MS);
}

function say(what) {
  elsewhere.now = what;
  shown();
}

function lock() {
  if (!channel) {
    channel = new BroadcastChannel(NAME);
    channel.onmessage = ({ data }) => (data === "give" ? give() : !letGo && say(data));
  }
  return new Promise((mine) => {
    navigator.locks.request(NAME, () => new Promise((done) => {
      letGo = done;
      mine();
    }));
  });
}

async function give() {
  if (!letGo) return;
  if (lesson.waiting || SENDING.has(run.phase)) {
    channel.postMessage({ words: `The other tab is ${lesson.waiting ? "still looking at pictures" : "sending pictures"}. Try again when it has done that.` });
    return;
  }
  abandon();
  await close();
  letGo();
  letGo = null;
  entering = null;
  say({ words: "" });
  enter();
}
