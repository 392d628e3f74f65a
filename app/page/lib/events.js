/**
 * What happens to jobs and lists, as it happens. A browser allows six connections to a host over all its tabs, so one
 * tab reads `GET /v1/events` and the others hear of it from a channel; whoever holds the lock is the one that reads.
 * Where the stream cannot be had (plain http from another machine has no locks; a proxy may hold it back), all are told
 * to look for themselves every two seconds.
 */
import { address, request } from "./api.js";
import { key, onGiven } from "./key.js";
import { readEvents } from "./stream.js";

/** The event that says: something may have happened, look for yourself. It comes after every break of the stream. */
export const LOOK = "look";

const LOOK_MS = 2000;
const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 8000;
/** The service sends a comment every 15 seconds; who hears nothing for longer is cut off. */
const QUIET_MS = 40_000;

const listeners = new Set();
let joined = null;

/**
 * Call `listener({event, id, data})` for what happens to the jobs with these ids, or to all (null), until the function
 * that is returned is called. `event` is one of the service's (status, progress, epoch, end, changed), or LOOK. Listen
 * first and then load: nothing is missed in between.
 */
export function follow(ids, listener) {
  const one = { ids: ids && new Set(ids), listener };
  listeners.add(one);
  joined ??= join();
  return () => {
    listeners.delete(one);
    if (listeners.size) return;
    joined?.leave();
    joined = null;
  };
}

// the channel and the lock have the key in their names: another key is another channel
onGiven(() => {
  if (!joined) return;
  joined.leave();
  joined = join();
});

function tell(message) {
  for (const { ids, listener } of [...listeners]) {
    if (message.event === LOOK || !ids || ids.has(message.data.job_id)) listener(message);
  }
}

/** The last event that any tab has received: whoever reads next goes on there. */
let last = null;

function join() {
  const leaving = new AbortController();
  const { signal } = leaving;
  let looking = 0;
  let quiet = 0;
  let live = null;
  let channel = null;
  let leading = false;

  const setLive = (now) => {
    if (now === live || signal.aborted) return;
    live = now;
    clearInterval(looking);
    if (!live) looking = setInterval(tell, LOOK_MS, { event: LOOK });
    // what happened before the stream was there was not heard
    else tell({ event: LOOK });
  };

  /** Take what the channel, or the stream, says. */
  const take = (message) => {
    if (signal.aborted) return;
    if ("live" in message) setLive(message.live);
    if (message.id) last = message.id;
    if (message.event) tell(message);
  };

  const heard = ({ data: message }) => {
    if (message.asks) {
      if (leading) channel.postMessage({ live });
      return;
    }
    clearTimeout(quiet);
    quiet = setTimeout(setLive, QUIET_MS, false);
    take(message);
  };

  const say = (message) => {
    if (signal.aborted) return;
    channel.postMessage(message);
    take(message);
  };

  /** Read the stream, for this tab and all others, until this one leaves. */
  const lead = async () => {
    clearTimeout(quiet);
    leading = true;
    let wait = RETRY_MS;
    while (!signal.aborted) {
      const silent = new AbortController();
      const life = () => {
        clearTimeout(quiet);
        quiet = setTimeout(() => silent.abort(), QUIET_MS);
        wait = RETRY_MS;
        say({ live: true });
      };
      try {
        const headers = last === null ? {} : { "Last-Event-ID": last };
        const answer = await request("v1/events", { accept: "text/event-stream", headers, signal: AbortSignal.any([signal, silent.signal]) });
        await readEvents(answer, { life, event: say });
      } catch {
        // whatever it was, there is no stream now, and views look for themselves
      }
      clearTimeout(quiet);
      say({ live: false });
      await pause(wait, signal);
      wait = Math.min(2 * wait, LONGEST_RETRY_MS);
    }
  };

  const start = async () => {
    setLive(false);
    if (!navigator.locks || !crypto.subtle) return;
    const name = `convserve-${await digest(`${address("")} ${key() ?? ""}`)}`;
    if (signal.aborted) return;
    channel = new BroadcastChannel(name);
    channel.onmessage = heard;
    channel.postMessage({ asks: true });
    navigator.locks.request(name, { signal }, lead).catch(() => {});
  };
  start();

  return {
    leave: () => {
      leaving.abort();
      clearInterval(looking);
      clearTimeout(quiet);
      channel?.close();
    },
  };
}

async function digest(text) {
  const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(sum)].map((one) => one.toString(16).padStart(2, "0")).join("").slice(0, 32);
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
