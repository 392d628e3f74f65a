/** The kinds of jobs: where each is, what it is called, and how far it is in words. */
import { get } from "../../lib/api.js";
import { FINISHED, doing } from "../../lib/jobs.js";
import { link } from "../../lib/router.js";
import { count, duration, percent, sentence } from "../../lib/words.js";

export const KINDS = {
  training: { path: "v1/training-jobs", noun: "training", nouns: "Training runs", parameter: "job" },
  evaluation: { path: "v1/evaluations", noun: "evaluation", nouns: "Evaluations", parameter: "evaluation" },
  batch: { path: "v1/batch-predictions", noun: "batch prediction", nouns: "Batch predictions", parameter: "batch" },
};

/** What the outputs of a model or the answers of a data set are called, one and several. */
export const NOUNS = { class: ["class", "classes"], labels: ["label", "labels"], values: ["value", "values"] };

/** The statuses that a job can have, in the order of its life. */
export const STATUSES = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"];

const ENDS = { succeeded: "Done", failed: "Failed", cancelled: "Stopped", cancelling: "Stopping" };

/** Whether a job still goes on, or waits to. */
export function active(job) {
  return !FINISHED.has(job.status);
}

/** What a job is called in lists. */
export function title(kind, job, names = {}) {
  if (kind === "training") return job.name;
  const model = names[job.model_id] ?? job.model_id;
  return kind === "evaluation" ? `${model} on ${names[job.dataset] ?? job.dataset}, ${job.split}` : `${model} on ${job.filename || "an archive"}`;
}

/** Where a job is on this page. */
export function whereabouts(kind, job) {
  return link("watch", { [KINDS[kind].parameter]: job.id });
}

/** How far a job is, in words. */
export function status(kind, job) {
  if (job.waiting_for?.storage) return "Waits until the disk of the server can be written";
  if (job.waiting_for) return "Waits for its data set";
  if (job.status === "queued") {
    const place = job.queue_position > 1 ? `, number ${job.queue_position} in the line` : job.queue_position ? ", next in the line" : "";
    return `Waits for its turn${place}${job.starts_in_seconds ? `, about ${duration(Math.round(job.starts_in_seconds))}` : ""}`;
  }
  if (job.status === "failed") return job.error ? `Failed: ${job.error.message}` : "Failed";
  if (job.status === "succeeded" && job.started_at) return `Done in ${took(job)}`;
  if (job.status === "cancelled" && job.started_at) return `Stopped after ${took(job)}`;
  if (job.status !== "running") return ENDS[job.status] ?? job.status;
  const { images, of, fraction, eta_seconds: eta } = job.progress;
  const done = kind === "training"
    ? doing(job.progress)
    : of ? `${count(images, "picture")} of ${of.toLocaleString("en")}` : "Getting ready";
  return `${done}, ${percent(fraction)}${eta ? `, about ${duration(Math.round(eta))} more` : ""}`;
}

function took(job) {
  const seconds = (new Date(job.finished_at) - new Date(job.started_at)) / 1000;
  return seconds < 1 ? "less than a second" : duration(Math.round(seconds));
}

/** What came of a job, in a few words. */
export function outcome(kind, job) {
  if (kind === "batch") return job.progress.images ? `${count(job.progress.images, "picture")}${job.progress.failed ? `, ${count(job.progress.failed, "file")} unreadable` : ""}` : "";
  const { metrics } = job;
  if (!metrics) return "";
  const right = kind === "training" ? metrics.dev_accuracy : metrics.accuracy;
  if (right !== null && right !== undefined) return `${percent(right, 1)} right`;
  if (kind === "evaluation" && metrics.r2 !== null) return metrics.r2 < 0 ? "worse than the mean" : `${percent(metrics.r2, 1)} of the variance`;
  return kind === "training" && metrics.dev_loss !== null ? `loss ${metrics.dev_loss.toFixed(3)}` : "";
}

/** Names of models and data sets by their ids, as far as they are there; what is gone keeps its id. */
export async function namesOf(jobs, signal, known = {}) {
  const wanted = [...new Set(jobs.flatMap((job) => [job.model_id && ["v1/models", job.model_id], job.dataset && ["v1/datasets", job.dataset]]).filter(Boolean).map((one) => one.join("/")))];
  await Promise.all(wanted.filter((path) => !(path.split("/")[2] in known)).map(async (path) => {
    const id = path.split("/")[2];
    try {
      const found = await get(path, {}, { signal });
      known[id] = found.version ? `${found.name} ${found.version}` : found.name;
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      known[id] = id;
    }
  }));
  return { ...known };
}

/** A field's name as words: "learning_rate" as "Learning rate". */
export function worded(name) {
  return sentence(name.replaceAll("_", " ")).slice(0, -1);
}
