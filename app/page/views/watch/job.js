/** One training run: how far it is, its curves, what came of it and what was chosen. */
import { get, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useJob } from "../../lib/jobs.js";
import { useLoaded } from "../../lib/load.js";
import { link, wayOn } from "../../lib/router.js";
import { bytes, count, percent, when } from "../../lib/words.js";
import { Dialog } from "../../parts/dialog.js";
import { ProblemBox } from "../../parts/problem.js";
import { Said } from "../../parts/said.js";
import { Running } from "./jobs.js";
import { active, status, worded } from "./kinds.js";
import { Log } from "./log.js";
import { Norms } from "./norms.js";
import { Judged, Pictures } from "./pictures.js";
import { Curves } from "./runs.js";
import { Away, Delete, Facts, Opened, Raw, useTitle } from "./shared.js";

export function Job({ id }) {
  const path = `v1/training-jobs/${encodeURIComponent(id)}`;
  const { job, metrics, problem, lost } = useJob("training-jobs", id);
  useTitle(job?.name);
  const going = job && active(job);
  return html`<${Opened} tab="jobs" list="Jobs" title=${job?.name ?? id}>
      ${job && !going && html`<${Continue} job=${job} />`}
      ${job && !going && !job.builtin && html`<${Delete} what=${job.name} path=${path} to="jobs">Its log and its figures go with it; a model that it made stays.<//>`}
    <//>
    <${Away} problem=${problem} lost=${lost} />
    ${job && html`<div class="stack">
      ${job.description && html`<p>${job.description}</p>`}
      ${going
        ? html`<section class="card" aria-label="How far it is"><${Running} kind="training" job=${job} name=${job.name}/></section>`
        : html`<p role="status" class=${job.status === "failed" ? "bad" : ""}>${status("training", job)}.</p>`}
      ${job.status === "succeeded" && html`<${Report} path=${path} job=${job} />`}
      ${job.warnings.length > 0 && html`<section class="card" aria-label="What should be known"><h2>What should be known</h2>
        ${job.warnings.map((one, at) => html`<p key=${at}><${Said} text=${one} /></p>`)}</section>`}
      ${(going || metrics.length > 0) && html`<section class="card run" aria-label="Curves"><header><h2>Curves</h2>
        <a href=${link("watch", { runs: job.id })}>Lay others over them</a></header>${metrics.length > 0 ? html`<${Curves} metrics=${metrics} />` : html`<p class="soft">They begin with the first epoch that is done.</p>`}</section>`}
      ${metrics.length > 0 && html`<${Norms} path=${path} id=${job.id} />`}
      <${Links} job=${job} />
      ${job.chosen.length > 0 && html`<${Chosen} chosen=${job.chosen} />`}
      <${Settings} job=${job} />
      <${Log} path=${path} />
    </div>`}`;
}

/** What the service says of the model that came of it, and the pictures that may be wrong. */
function Report({ path, job }) {
  const report = useLoaded((signal) => get(`${path}/report`, {}, { signal }), [path]);
  const [, again] = useState(0);
  const { value } = report;
  // of labels and values there is none, and the answer says so
  if (report.problem) return report.problem.status === 409 ? html`<p class="soft">${report.problem.message}.</p>` : html`<${ProblemBox} problem=${report.problem} again=${report.again} />`;
  if (!value) return html`<section class="card waits" aria-label="Is it enough?"></section>`;
  return html`<section class="card" aria-label="Is it enough?">
    <h2>Is it enough?</h2>
    <div class="say">${value.words.map((one, at) => html`<p key=${at}><${Said} text=${one} /></p>`)}</div>
    ${value.suspicious.length > 0 && html`<details><summary>${count(value.suspicious.length, "picture")} that may be in the wrong class</summary>
      <${Pictures} pictures=${value.suspicious} label="Pictures that may be in the wrong class"
        open=${(one) => html`<${Judged} one=${one} dataset=${job.dataset} model=${job.model_id} changed=${() => again((turn) => turn + 1)} />`} /></details>`}
    ${value.near_duplicates.length > 0 && html`<details><summary>${count(value.near_duplicate_count ?? value.near_duplicates.length, "picture")} to measure on that look like one to learn from</summary>
      <${Pictures} pictures=${value.near_duplicates.map((one) => ({ ...one, image_url: `/v1/datasets/${job.dataset}/images/${one.number}` }))} label="Near-duplicates"
        words=${(one) => `${one.split}, like ${one.like_name ?? `number ${one.like}`} (${percent(one.similarity)})`} /></details>`}
    ${value.classes.length > 0 && html`<details><summary>Each class</summary><div class="scroll" tabIndex="0" role="region" aria-label="Each class"><table class="list">
      <thead><tr><th>Class</th><th class="num">To learn from</th><th class="num">Judged</th><th class="num">Recognised</th><th>Others taken for</th></tr></thead>
      <tbody>${value.classes.map((one) => html`<tr key=${one.name}><td>${one.name}</td><td class="num">${one.train_images}</td><td class="num">${one.images}</td><td class="num">${percent(one.recall)}</td><td>${one.taken_for ?? ""}</td></tr>`)}</tbody>
    </table></div></details>`}
  </section>`;
}

function Links({ job }) {
  const source = job.architecture_source;
  const network = source?.preset ? link("build", { preset: source.preset }) : source?.id ? link("build", { architecture: source.id }) : null;
  const links = [
    job.model_id && ["The model", link("watch", { model: job.model_id })],
    job.model_id && ["See inside", link("look", { model: job.model_id })],
    ["The data set", link("watch", { dataset: job.dataset })],
    network && ["The network", network],
    job.continue_from && ["The run that it continues", link("watch", { job: job.continue_from })],
    job.initial_weights && [`The model that it began with${job.initial_model ? `, ${job.initial_model}` : ""}`, link("watch", { model: job.initial_weights })],
  ].filter(Boolean);
  return html`<p class="links">${links.map(([text, to]) => html`<a key=${to} href=${to}>${text}</a>`)}</p>`;
}

function Chosen({ chosen }) {
  return html`<section class="card" aria-label="What was chosen, and why"><h2>What was chosen, and why</h2>
    <div class="scroll" tabIndex="0" role="region" aria-label="Choices"><table class="list"><thead><tr><th>What</th><th>Chosen</th><th>Why</th></tr></thead>
      <tbody>${chosen.map((one) => html`<tr key=${one.field}><td>${worded(one.field)}</td><td><code>${brief(one.value)}</code></td><td class="why">${one.reason}</td></tr>`)}</tbody></table></div>
  </section>`;
}

function brief(value) {
  if (Array.isArray(value)) return value.map(brief).join(", ") || "none";
  if (value !== null && typeof value === "object") {
    const plain = Object.entries(value).filter(([name, one]) => name !== "type" && typeof one !== "object").map(([name, one]) => `${name} ${one}`);
    return [value.type, ...plain].filter(Boolean).join(", ") || JSON.stringify(value);
  }
  return value === null ? "none" : String(value);
}

function Settings({ job }) {
  const { architecture, ...settings } = job;
  return html`<section class="card" aria-label="How it is taught"><h2>How it is taught</h2>
    <${Facts} entries=${[
      ["Epochs", job.epochs], ["Pictures a step", job.batch_size && (job.accumulate > 1 ? `${job.batch_size} × ${job.accumulate}` : job.batch_size)],
      ["Nodes", job.nodes > 1 ? job.nodes : null], ["Optimizer", job.optimizer && brief(job.optimizer)], ["Learning rate over time", job.schedule && brief(job.schedule)], ["Loss", job.loss && brief(job.loss)],
      ["Varied by", job.augmentations.length ? job.augmentations.map((one) => one.type).join(", ") : "nothing"],
      ["Trained of another's network", job.train && brief(job.train)], ["Seed of chance", job.seed],
      ["Pictures of the data set", job.dataset_images?.toLocaleString("en")],
      ["Memory, as expected", job.memory_bytes && bytes(job.memory_bytes)], ["Asked for", when(job.created_at)], ["Begun", job.started_at && when(job.started_at)],
      ["Attempts", job.attempt > 1 ? job.attempt : null], ["Tags", job.tags.join(", ")], ["Can be continued until", job.checkpoint_until && when(job.checkpoint_until)], ["Id", html`<code>${job.id}</code>`],
    ]} />
    <${Raw} label="All settings, as JSON" value=${settings} />
    ${architecture && html`<${Raw} label="The network, as JSON" value=${architecture} />`}
  </section>`;
}

/** Go on from the last checkpoint, for more epochs. */
function Continue({ job }) {
  const [asked, setAsked] = useState(false);
  const [state, setState] = useState({});
  if (!job.checkpoint_until) return null;
  const start = async (event) => {
    event.preventDefault();
    const on = wayOn();
    setState({ busy: true });
    try {
      const made = await post("v1/training-jobs", { continue_from: job.id, epochs: Number(new FormData(event.target).get("epochs")) });
      on("watch", { job: made.id });
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<button type="button" onClick=${() => setAsked(true)}>Continue</button>
    ${asked && html`<${Dialog} title=${`Continue ${job.name}`} close=${() => setAsked(false)}>
      <form class="stack" onSubmit=${start}>
        <p>A new run goes on where this one has ended.</p>
        <label class="field"><span>Epochs more</span><input name="epochs" type="number" min="1" max="10000" required defaultValue=${job.epochs ?? 5} /></label>
        <${ProblemBox} problem=${state.problem} />
        <div><button class="primary" disabled=${state.busy}>Go on</button></div>
      </form><//>`}`;
}
