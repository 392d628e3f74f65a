/** Jobs, kept up to date by the events of the service. */
import { get } from "./api.js";
import { follow, LOOK } from "./events.js";
import { useEffect, useState } from "./html.js";
import { later, SOON, whenSeen } from "./news.js";

/** The states that a job does not leave. */
export const FINISHED = new Set(["succeeded", "failed", "cancelled"]);

const STAGES = {
  features: "Looking at every picture once", test: "Measuring", report: "Asking whether it is enough",
};

/** What a training job does at the moment, in words. Each epoch ends with an evaluation: quick ones are seen in no other. */
export const doing = ({ stage, epoch, epochs }) =>
  STAGES[stage] ?? (epoch ? `Epoch ${epoch} of ${epochs}${stage === "evaluation" ? ", measuring" : ""}` : "Getting ready");

const AWAY = new Set([0, 502, 503, 504]);
const BREATH_MS = 500;

/** Is it the server that is away, be it that it starts again? */
const isAway = (problem) => AWAY.has(problem.status);

/** Does a job's own answer say more, after it has come into another state, than what was told: `job` as its list shows it? */
const saysMore = (kind, before, job) => Boolean(before.waiting_for) || (kind === "evaluations" && job.status === "succeeded");

/** Does a job make room for those that wait, or take the place of one? */
export const movesOthers = (event, data) => event === "status" && !["queued", "cancelling"].includes(data.status);

/**
 * Show a job as it is, and again whenever something happens to it: `show({job, metrics, problem, lost})`. `kind`:
 * "training-jobs", "evaluations" or "batch-predictions"; `metrics` are the figures of each epoch, of training jobs;
 * `lost` while the server is away. What happens is told, and seldom asked for; where `unseen`, also while nobody sees the
 * page. Ends when the function that is returned is called.
 */
export function followJob(kind, id, show, { unseen = false } = {}) {
  const path = `v1/${kind}/${id}`;
  let state = { job: null, metrics: [], problem: null, lost: false };
  const now = (values) => show((state = { ...state, ...values }));
  const asks = looker(async (signal) => {
    const job = await get(path, {}, { signal });
    const metrics = kind === "training-jobs" && job.metrics ? (await get(`${path}/metrics`, {}, { signal })).data : [];
    now({ job, metrics, problem: null, lost: false });
  }, (problem) => now(isAway(problem) ? { lost: true } : { problem, lost: false }));
  let forget = () => {};
  const look = () => {
    forget();
    forget = unseen ? (asks(), () => {}) : whenSeen(asks);
  };
  const lookIfItWaits = later(SOON, () => state.job?.status === "queued" && look());
  const stop = follow(null, ({ event, data }) => {
    const { job, lost } = state;
    if (event === LOOK || (event === "changed" && data.lists.includes("jobs"))) {
      if (lost || !FINISHED.has(job?.status)) look();
    } else if (data.job_id !== id) {
      // what waits moves up when another one begins or ends; the data set that it waits for is another job
      if (movesOthers(event, data) || (event === "progress" && data.dataset_id === job?.waiting_for?.dataset)) lookIfItWaits();
    } else if (asks.busy() || !job || (event === "job" && saysMore(kind, job, data.job))) {
      look();
    } else {
      const { job_id: _id, kind: _kind, dataset_id: _dataset, ...values } = data;
      if (event === "job") now({ job: { ...job, ...values.job } });
      if (event === "progress") now({ job: { ...job, progress: { ...job.progress, ...values } } });
      // an epoch that was done again after a crash comes again
      if (event === "epoch") now({ job: { ...job, metrics: values }, metrics: [...state.metrics.filter((one) => one.epoch < values.epoch), values] });
    }
  });
  look();
  return () => {
    stop();
    lookIfItWaits.stop();
    forget();
    asks.stop();
  };
}

/** Several jobs, kept up to date: what `followJob` shows of each, as soon as there is something. */
export function useJobs(kind, ids) {
  const [states, setStates] = useState([]);
  useEffect(() => {
    const found = new Map();
    setStates([]);
    const stops = ids.map((id) => followJob(kind, id, (shown) => {
      found.set(id, shown);
      setStates(ids.filter((one) => found.has(one)).map((one) => found.get(one)));
    }));
    return () => stops.forEach((stop) => stop());
  }, [kind, ids.join()]);
  return states;
}

/** A job, kept up to date: what `followJob` shows, and null for `id` is none. */
export function useJob(kind, id) {
  const [state, setState] = useState({});
  useEffect(() => {
    setState({});
    return id ? followJob(kind, id, (shown) => setState({ id, ...shown })) : undefined;
  }, [kind, id]);
  return state.id === id && id ? state : { job: null, metrics: [], problem: null, lost: false };
}

/**
 * Call `look()` now, and whenever something happens that `concerns(data)`, until it returns what is not null, and
 * return that. A server that is away is waited for; `lost(is)` says so. Other problems are thrown.
 */
export function until(concerns, look, signal, lost = () => {}) {
  return new Promise((resolve, reject) => {
    const turn = looker(async () => {
      const found = await look();
      lost(false);
      if (found === null || found === undefined) return;
      end();
      resolve(found);
    }, (problem) => {
      if (isAway(problem)) return lost(true);
      end();
      return reject(problem);
    });
    const gone = () => (end(), reject(signal.reason));
    const stop = follow(null, ({ event, data }) => (event === LOOK || concerns(data)) && turn());
    const end = () => {
      stop();
      turn.stop();
      signal.removeEventListener("abort", gone);
    };
    signal.addEventListener("abort", gone);
    if (signal.aborted) return gone();
    return turn();
  });
}

/** A function that looks, one time after the other: calls while it looks, or takes a breath, become one. */
function looker(work, failed) {
  const stopping = new AbortController();
  const { signal } = stopping;
  let busy = false;
  let again = false;
  const look = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    do {
      again = false;
      try {
        await work(signal);
      } catch (problem) {
        if (signal.aborted) break;
        failed(problem);
        again ||= isAway(problem);
      }
      if (again) await new Promise((resolve) => setTimeout(resolve, BREATH_MS));
    } while (again && !signal.aborted);
    busy = false;
  };
  look.busy = () => busy;
  look.stop = () => stopping.abort();
  return look;
}
