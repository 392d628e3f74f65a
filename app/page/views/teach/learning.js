/** How it learns: what is under way in words and with progress, the curve, and what the report says at the end. */
import { address, get } from "../../lib/api.js";
import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { key } from "../../lib/key.js";
import { doing } from "../../lib/jobs.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { count, duration, percent } from "../../lib/words.js";
import { Curve } from "../../parts/curve.js";
import { Picture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Progress } from "../../parts/progress.js";
import { Said } from "../../parts/said.js";
const MOST_SUSPICIOUS = 12;

/**
 * The card; shown as soon as something was begun. `run`: what is under way, see run.js; `working`: is it?; `stop()` and
 * `again()` are its buttons; `correct(mistake, change)` corrects a picture, `names` are the classes it can be put into.
 */
export function Learning({ run, working, stop, again, correct, names }) {
  const { job } = run;
  const card = useRef(null);
  // whoever has pressed the button wants to see what comes of it
  useEffect(() => working && run.asked && card.current.scrollIntoView({ block: "nearest" }), [working]);
  return html`<section class="card grow" ref=${card} aria-label="How well it learns">
    <h2>How well it learns</h2>
    <div class="under-way">
      ${working && html`<${Progress} share=${run.share} label="How far it is" note=${words(run)} stop=${stop} />`}
      ${!working && job?.status === "succeeded" && html`<p class="count" role="status">${taught(job)}</p>`}
      ${!working && job?.status === "cancelled" && html`<p role="status">It was stopped. Your pictures are all still there.</p>`}
    </div>
    <${ProblemBox} problem=${run.problem} again=${working ? null : again} />
    ${(working || run.metrics.length > 1) && html`<div class="figures">${run.metrics.length > 1 && html`<${Figures} metrics=${run.metrics} />`}</div>`}
    ${job?.warnings?.length > 0 && job.status !== "succeeded" && html`<p class="soft">${job.warnings.join(" ")}</p>`}
    ${job?.status === "succeeded" && html`<${Outcome} job=${job} key=${job.id} correct=${correct} names=${names} />`}
  </section>`;
}

/** What was done, in the place where it was shown being done. */
function taught(job) {
  const seconds = (new Date(job.finished_at) - new Date(job.started_at)) / 1000;
  return `It has learned from ${count(job.dataset_images, "picture")} in ${duration(seconds)}.`;
}

/** What is under way. */
function words(run) {
  if (run.lost) return "The server cannot be reached. It goes on by itself as soon as it is there again.";
  const share = percent(run.share);
  if (run.phase === "packing") return `Packing the pictures, ${share}`;
  if (run.phase === "uploading") return run.share < 1 ? `Sending the pictures, ${share}` : "The server checks what was sent";
  if (run.phase === "reading") return `The server reads the pictures${run.share ? `, ${share}` : ""}`;
  const { job } = run;
  if (!job) return "Waiting for the server";
  if (job.waiting_for?.storage) return "Waits until the disk of the server can be written";
  if (job.waiting_for) return `The server reads the pictures${run.share ? `, ${share}` : ""}`;
  if (job.status === "queued") {
    const place = job.queue_position > 1 ? `, number ${job.queue_position} in the line` : "";
    return `Waiting for its turn${place}${job.starts_in_seconds ? `, about ${duration(job.starts_in_seconds)}` : ""}`;
  }
  if (job.status === "cancelling") return "Stopping";
  const { eta_seconds: eta } = job.progress;
  return `${doing(job.progress)}${eta ? `, about ${duration(eta)} more` : ""}`;
}

function Figures({ metrics }) {
  const last = metrics.at(-1);
  const x = useMemo(() => metrics.map((one) => one.epoch), [metrics]);
  const lines = useMemo(() => [
    { label: "pictures to check", values: metrics.map((one) => one.dev_accuracy), token: "--accent" },
    { label: "pictures to learn", values: metrics.map((one) => one.train_accuracy), token: "--soft", dash: [4, 4] },
  ], [metrics]);
  return html`<${Curve} x=${x} lines=${lines} range=${[0, 1]} format=${(one) => percent(one)}
    label=${`Share of pictures that it recognises, after ${count(metrics.length, "epoch")}: ${percent(last.dev_accuracy)} of those to check, ${percent(last.train_accuracy)} of those to learn from`} />`;
}

function Outcome({ job, correct, names }) {
  const report = useLoaded((signal) => get(`v1/training-jobs/${job.id}/report`, {}, { signal }), [job.id]);
  return html`<div>
    ${report.value && html`<div class="say" role="status">${report.value.words.map((one, at) => html`<p key=${at}><${Said} text=${one} /></p>`)}</div>`}
    ${report.problem && report.problem.status !== 409 && html`<${ProblemBox} problem=${report.problem} again=${report.again} />`}
    ${report.value?.suspicious.length > 0 && html`<${Suspicious} found=${report.value.suspicious} dataset=${job.dataset} correct=${correct} names=${names} />`}
    <p class="onward"><a href=${link("look", { model: job.model_id })}>See inside</a>
      <a href=${link("watch", { job: job.id })}>All its figures</a></p>
    <${Call} model=${job.model_id} />
  </div>`;
}

/** The line that sends a picture to the model from anywhere else. */
function Call({ model }) {
  const [copied, setCopied] = useState(false);
  const line = `curl ${key() ? '-H "Authorization: Bearer $CONVSERVE_API_KEY" ' : ""}-F files=@picture.jpg ${address(`v1/models/${model}/predict`)}`;
  const copy = () => navigator.clipboard.writeText(line).then(() => setCopied(true), () => {});
  return html`<details class="call"><summary>Use it from a program</summary>
    <pre tabIndex="0" aria-label="The call">${line}</pre>
    ${navigator.clipboard && html`<button type="button" onClick=${copy}>Copy</button> <span role="status">${copied ? "Copied" : ""}</span>`}
  </details>`;
}

function Suspicious({ found, dataset, correct, names }) {
  const [done, setDone] = useState({});
  const [problem, setProblem] = useState(null);
  const mend = async (one, change, said) => {
    setProblem(null);
    try {
      await correct(one, change);
      setDone((before) => ({ ...before, [one.number]: said }));
    } catch (error) {
      setProblem(error);
    }
  };
  const known = new Set(names);
  return html`<div class="suspicious">
    <h3>Are these in the right class?</h3>
    <${ProblemBox} problem=${problem} />
    <ul>${found.slice(0, MOST_SUSPICIOUS).map((one) => html`<li key=${one.number}>
      <${Picture} path=${`v1/datasets/${dataset}/images/${one.number}`} alt=${`A picture of ${one.label}`} width="64" height="64" />
      <div>
        <p>In <b>${one.label}</b>, but looks like <b>${one.predicted}</b> to it (${percent(one.probability)}).</p>
        ${done[one.number]
          ? html`<span role="status">${done[one.number]}</span>`
          : html`${known.has(one.predicted) && html`<button type="button" onClick=${() => mend(one, { label: one.predicted }, `Put into ${one.predicted}. Teach again to use it.`)}>It is ${one.predicted}</button>`}
            <button type="button" onClick=${() => mend(one, { excluded: true }, "Left out. Teach again to use it.")}>Leave it out</button>
            <button type="button" class="plain" onClick=${() => setDone({ ...done, [one.number]: "It stays." })}>It is right</button>`}
      </div>
    </li>`)}</ul>
  </div>`;
}
