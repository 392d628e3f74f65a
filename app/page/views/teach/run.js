/** A run of teaching: what is new goes to the service, is read there, and a job learns from it. Survives a reload. */
import { Problem, get, post, request, send, upload } from "../../lib/api.js";
import { FINISHED, followJob, until } from "../../lib/jobs.js";
import { pack } from "../../lib/zip.js";
import { changed, fileOf, leaveOut, lesson, movePicture, removePictures, save, shown } from "./lesson.js";
import { wanted } from "./options.js";
import { lean } from "./pictures.js";
import { archive, asked, idOf, label, namesFor, numbers, plan, title } from "./plan.js";

/**
 * What is under way. `phase`: idle, starting, packing, uploading, reading (what was added), training, or failed; `share` of it
 * that is done; `lost` while the server is away; `job` and its `metrics` as the service shows them.
 */
export const run = { phase: "idle", share: null, lost: false, problem: null, job: null, metrics: [] };

let stopping = null;

function now(values) {
  Object.assign(run, values);
  shown();
}

/** Is something under way? */
export const busy = () => !["idle", "failed"].includes(run.phase);

/** Send what is new, and teach. */
export async function teach() {
  if (busy()) return;
  Object.assign(run, { phase: "starting", asked: true, job: null, metrics: [] });
  await guarded(async (signal) => {
    if (!plan().fresh) await check(signal);
    const steps = plan();
    if (steps.fresh) await sendAll(steps, signal);
    else await sendNew(steps, signal);
    await learn(signal);
  });
}

/** Ask for a job, and follow it. */
async function learn(signal) {
  const body = JSON.stringify({ dataset: lesson.taught.dataset, name: title(), ...wanted() });
  // kept before it is sent: who reloads the page right then gets this job, and not a second one
  const asking = lesson.taught.asking?.body === body ? lesson.taught.asking : { body, key: `teach-${Date.now()}-${Math.random()}` };
  mark({ phase: "asking", asking });
  await save();
  // with its key it may be asked for as often as it takes
  const job = await until(
    () => false, () => post("v1/training-jobs", JSON.parse(body), { signal, headers: { "Idempotency-Key": asking.key } }),
    signal, (lost) => now({ lost }),
  );
  mark({ job: job.id, phase: "training", learned: false, corrected: false, asking: null });
  await follow(signal);
}

/** The data set may have been deleted, or could not be read: then everything is sent again. */
async function check(signal) {
  const found = await get(`v1/datasets/${lesson.taught.dataset}`, {}, { signal }).catch((problem) => {
    if (problem.status !== 404) throw problem;
    return null;
  });
  // the model of the run before is still there to be tried
  if (found?.status !== "ready") lesson.taught = { model: lesson.taught.model, phase: "done" };
}

/** Pick up what was under way when the page was left. */
export async function resume() {
  const phase = lesson.taught?.phase;
  if (busy() || !phase) return;
  if (phase === "done") {
    if (!run.job && lesson.taught.job) await guarded(look);
  } else if (phase === "asking") {
    await guarded(learn);
  } else if (phase === "training") {
    await guarded(follow);
  } else if (phase === "reading") {
    await guarded(async (signal) => {
      await readAddition(signal);
      await learn(signal);
    });
  }
}

async function guarded(work) {
  stopping = new AbortController();
  now({ problem: null, lost: false, share: null });
  try {
    await work(stopping.signal);
    now({ phase: "idle" });
  } catch (problem) {
    now({ phase: problem.name === "AbortError" ? "idle" : "failed", problem: problem.name === "AbortError" ? null : problem });
  }
}

/** Stop what is under way, here and at the service. */
export async function cancel() {
  const { dataset, job } = lesson.taught ?? {};
  const path = run.phase === "training" ? `v1/training-jobs/${job}/cancel` : run.phase === "reading" && `v1/datasets/${dataset}/cancel`;
  if (!path) return stopping?.abort();
  try {
    await request(path, { method: "POST" });
  } catch (problem) {
    // it may have ended just now
    if (problem.status !== 409) now({ problem });
  }
  return undefined;
}

/** Leave a run to itself: it goes on at the service, and nobody here looks. */
export function abandon() {
  stopping?.abort();
  Object.assign(run, { phase: "idle", share: null, lost: false, problem: null, job: null, metrics: [] });
}

function mark(values) {
  lesson.taught = { ...lesson.taught, ...values };
  changed();
}

async function zipped(entries, names, signal) {
  now({ phase: "packing", share: 0 });
  const { table, paths } = archive(entries, names);
  const files = paths.map(({ name, picture }) => ({ name, content: async () => lean(await fileOf(picture), asked()) }));
  return pack([table, ...files], { signal, onprogress: (share) => now({ share }) });
}

async function sent(path, form, signal) {
  now({ phase: "uploading", share: 0 });
  return (await upload(path, form, { signal, onprogress: (share) => now({ share }) })).json;
}

async function sendAll({ added }, signal) {
  const form = new FormData();
  form.append("name", title());
  form.append("defaults", "auto");
  if (asked()) form.append("image_size", asked());
  // as the page shows them, so that maps fit over them
  form.append("fit", "cover");
  const names = namesFor(added.map((one) => one.picture));
  form.append("file", await zipped(added, names, signal), "pictures.zip");
  const dataset = await sent("v1/datasets", form, signal);
  lesson.taught = {
    dataset: dataset.id, job: null, model: lesson.taught?.model ?? null, phase: "asking", read: false, asked: asked(),
    classes: [...new Set(added.map((one) => one.label))],
    sent: Object.fromEntries(added.map(({ picture, label: name }) => [picture.id, name])), names,
  };
  changed();
}

async function sendNew({ added, moved, removed }, signal) {
  const { dataset } = lesson.taught;
  const known = await numbers(dataset, [...moved.map((one) => one.id), ...removed], { signal });
  const corrections = [
    ...moved.filter(({ id }) => known.has(id)).map(({ id, label: name }) => ({ number: known.get(id).number, label: name })),
    ...removed.filter((id) => known.has(id)).map((id) => ({ number: known.get(id).number, excluded: true })),
  ];
  for (let at = 0; at < corrections.length; at += 1000) {
    await post(`v1/datasets/${dataset}/corrections`, { corrections: corrections.slice(at, at + 1000) }, { signal });
  }
  const is = { ...lesson.taught.sent };
  for (const { id, label: name } of moved) is[id] = name;
  for (const id of removed) delete is[id];
  if (added.length) {
    const form = new FormData();
    // those that were removed are still there, left out
    const names = namesFor(added.map((one) => one.picture), Object.values(lesson.taught.names));
    form.append("file", await zipped(added, names, signal), "pictures.zip");
    const addition = await sent(`v1/datasets/${dataset}/images`, form, signal);
    for (const { picture, label: name } of added) is[picture.id] = name;
    mark({ sent: is, names: { ...lesson.taught.names, ...names }, addition: addition.id, adding: added.map(({ picture }) => picture.id), phase: "reading" });
    await readAddition(signal);
  } else {
    mark({ sent: is });
  }
}

/** Wait until the service has read what was added: a job sees only what is there when it is asked for. */
async function readAddition(signal) {
  now({ phase: "reading", share: null });
  const { dataset, addition } = lesson.taught;
  const done = await until(
    (data) => data.job_id === addition,
    async () => {
      const one = await get(`v1/datasets/${dataset}/additions/${addition}`, {}, { signal });
      now({ share: one.progress?.fraction ?? null });
      return FINISHED.has(one.status) ? one : null;
    },
    signal,
    (lost) => now({ lost }),
  );
  const had = done.status === "succeeded";
  const sent = { ...lesson.taught.sent };
  const names = { ...lesson.taught.names };
  if (!had) lesson.taught.adding.forEach((id) => [sent, names].forEach((one) => delete one[id]));
  for (const { name, reason } of done.report?.files ?? []) leaveOut(idOf(name), reason);
  mark({ sent, names, addition: null, adding: null, ...(!had && { phase: "done" }) });
  if (!had) {
    throw new Problem(0, { title: "The pictures could not be read", detail: done.error?.message ?? "It was cancelled." });
  }
}

/** Show how far the service is with a data set that it still reads, and at last what it left out. */
function readDataset(dataset, signal) {
  return until(
    (data) => data.dataset_id === dataset,
    async () => {
      const found = await get(`v1/datasets/${dataset}`, {}, { signal });
      if (found.status === "ingesting") {
        now({ share: found.progress?.fraction ?? null });
        return null;
      }
      for (const { name, reason } of found.report?.files ?? []) leaveOut(idOf(name), reason);
      mark({ read: true });
      return found;
    },
    signal,
  );
}

/** Follow the job to its end. */
async function follow(signal) {
  now({ phase: "training", share: 0, job: null, metrics: [] });
  const { dataset, job: id, read } = lesson.taught;
  // a job that is cancelled does not wait for its data set
  const over = new AbortController();
  const both = AbortSignal.any([signal, over.signal]);
  const reading = read ? Promise.resolve() : readDataset(dataset, both);
  // what it fails of is said by the job, which fails with it
  reading.catch(() => {});
  try {
    const job = await new Promise((resolve, reject) => {
      const stop = followJob("training-jobs", id, ({ job: one, metrics, problem, lost }) => {
        if (problem) reject(problem);
        if (!one) return now({ lost });
        now({ job: one, metrics, lost, ...(!one.waiting_for && { share: one.progress.fraction }) });
        return FINISHED.has(one.status) && !lost && resolve(one);
      }, { unseen: true });
      both.addEventListener("abort", () => (stop(), reject(both.reason)));
    });
    if (job.status === "succeeded") await reading;
    ended(job);
  } finally {
    over.abort();
  }
}

async function look(signal) {
  const path = `v1/training-jobs/${lesson.taught.job}`;
  try {
    const [job, metrics] = await Promise.all([get(path, {}, { signal }), get(`${path}/metrics`, {}, { signal })]);
    now({ job, metrics: metrics.data });
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    // somebody has deleted it: what is left is the pictures
    mark({ job: null, model: null });
  }
}

function ended(job) {
  // a run that brought none leaves the model of the one before
  mark({ phase: "done", learned: job.status === "succeeded", model: job.model_id ?? lesson.taught.model });
  if (job.status === "failed") throw new Problem(0, { title: "It could not be taught", detail: job.error?.message });
}

/** Correct a picture at the service and on the page, as the report suggests. */
export async function correct({ number, name }, change) {
  await send("PATCH", `v1/datasets/${lesson.taught.dataset}/images/${number}`, change);
  const id = idOf(name);
  const of = lesson.classes.find((one) => one.pictures.some((each) => each.id === id));
  const picture = of?.pictures.find((each) => each.id === id);
  if (!picture) return;
  const is = { ...lesson.taught.sent };
  if (change.label !== undefined) {
    movePicture(of, picture, lesson.classes.find((one) => label(one) === change.label));
    is[id] = change.label;
  } else {
    removePictures(of, new Set([id]));
    delete is[id];
  }
  mark({ sent: is, corrected: true });
}
