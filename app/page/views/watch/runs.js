/** The curves of one run, or of several over each other. */
import { html, useMemo } from "../../lib/html.js";
import { useJobs } from "../../lib/jobs.js";
import { count, percent } from "../../lib/words.js";
import { Curve } from "../../parts/curve.js";
import { ProblemBox } from "../../parts/problem.js";

const FIGURES = {
  dev_accuracy: "Accuracy on dev",
  train_accuracy: "Accuracy on train",
  dev_loss: "Loss on dev",
  train_loss: "Loss on train",
  learning_rate: "Learning rate",
};
const COLOURS = ["--accent", "--warm", "--good", "--bad", "--soft", "--ink"];
const share = (one) => percent(one);
const loss = (one) => (one >= 100 ? one.toFixed(0) : one.toFixed(3));
const small = (one) => (one === 0 ? "0" : one.toExponential(1));
const formatOf = (figure) => (figure.endsWith("accuracy") ? share : figure === "learning_rate" ? small : loss);

/** `ids` of training jobs; `shown`: the figure; `show(figure)`; `clear()`. */
export function Runs({ ids, shown, show, clear }) {
  const figure = shown in FIGURES ? shown : "dev_accuracy";
  const followed = useJobs("training-jobs", ids);
  const runs = followed.filter(({ job }) => job);
  // one that was deleted leaves the others to be seen
  const problem = followed.map((one) => one.problem).find((one) => one && one.status !== 404);
  const most = Math.max(0, ...runs.flatMap(({ metrics }) => metrics.map((one) => one.epoch)));
  const x = useMemo(() => Array.from({ length: most }, (_, at) => at + 1), [most]);
  const names = runs.map(({ job }, at) => (runs.some((other, place) => place !== at && other.job.name === job.name) ? `${job.name} ${job.id.slice(-4)}` : job.name));
  const lines = useMemo(() => runs.map(({ metrics }, at) => {
    const by = new Map(metrics.map((one) => [one.epoch, one[figure]]));
    return { label: names[at], values: x.map((epoch) => by.get(epoch) ?? null), token: COLOURS[at % COLOURS.length], dash: at >= COLOURS.length ? [5, 4] : undefined };
  }), [followed, figure, x]);
  const format = formatOf(figure);
  const said = runs.map(({ metrics }, at) => `${names[at]} ${metrics.length ? format(metrics.at(-1)[figure]) : "none yet"}`).join(", ");
  return html`<section class="card" aria-label="Curves of several runs">
    <header><h2>${count(ids.length, "run")} over each other</h2><button type="button" class="plain" onClick=${clear}>Put away</button></header>
    <label class="field figure"><span>Figure</span><select value=${figure} onChange=${(event) => show(event.target.value)}>
      ${Object.entries(FIGURES).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}
    </select></label>
    <${ProblemBox} problem=${problem} />
    ${most > 0 ? html`<${Curve} x=${x} lines=${lines} height=${240} range=${figure.endsWith("accuracy") ? [0, 1] : null} format=${format} label=${`${FIGURES[figure]} after the last epoch: ${said}`} />` : html`<p class="soft">No epoch is done yet.</p>`}
  </section>`;
}

/** Accuracy and loss of one run. */
export function Curves({ metrics }) {
  const x = useMemo(() => metrics.map((one) => one.epoch), [metrics]);
  const both = (figure) => [
    { label: "dev", values: metrics.map((one) => one[`dev_${figure}`]), token: "--accent" },
    { label: "train", values: metrics.map((one) => one[`train_${figure}`]), token: "--soft", dash: [4, 4] },
  ];
  const accuracy = useMemo(() => both("accuracy"), [metrics]);
  const losses = useMemo(() => both("loss"), [metrics]);
  const last = metrics.at(-1);
  const measured = last.dev_accuracy !== null || last.train_accuracy !== null;
  return html`<div class="curves">
    ${measured && html`<div><h3>Accuracy</h3><${Curve} x=${x} lines=${accuracy} range=${[0, 1]} format=${share}
      label=${`Share of pictures that are right, after ${count(metrics.length, "epoch")}: ${percent(last.dev_accuracy, 1)} of dev, ${percent(last.train_accuracy, 1)} of train`} /></div>`}
    <div><h3>Loss</h3><${Curve} x=${x} lines=${losses} format=${loss} label=${`Loss after ${count(metrics.length, "epoch")}: ${last.dev_loss?.toFixed(3) ?? "none"} on dev, ${last.train_loss?.toFixed(3) ?? "none"} on train`} /></div>
  </div>`;
}
