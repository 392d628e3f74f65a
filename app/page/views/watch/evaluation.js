/** One evaluation: what was found, the confusion matrix with the pictures behind its cells, and the mistakes. */
import { html } from "../../lib/html.js";
import { useJob } from "../../lib/jobs.js";
import { useLoaded } from "../../lib/load.js";
import { go, link } from "../../lib/router.js";
import { count, percent, precise, when } from "../../lib/words.js";
import { Said } from "../../parts/said.js";
import { Behind } from "./behind.js";
import { Calibration, Classes, Values } from "./figures.js";
import { Running } from "./jobs.js";
import { active, namesOf, status } from "./kinds.js";
import { Log } from "./log.js";
import { Matrix } from "./matrix.js";
import { Away, Delete, Facts, Opened, useTitle } from "./shared.js";

export function Evaluation({ id, params }) {
  const path = `v1/evaluations/${encodeURIComponent(id)}`;
  const { job: one, problem, lost } = useJob("evaluations", id);
  const names = useLoaded((signal) => (one ? namesOf([one], signal) : Promise.resolve({})), [one?.id]).value ?? {};
  const title = one ? `${names[one.model_id] ?? one.model_id} on ${names[one.dataset] ?? one.dataset}, ${one.split}` : id;
  useTitle(one && title);
  return html`<${Opened} tab="evaluations" list="Evaluations" title=${title}>
      ${one && !active(one) && html`<${Delete} what="this evaluation" path=${path} to="evaluations">The model and the pictures stay.<//>`}
    <//>
    <${Away} problem=${problem} lost=${lost} />
    ${one && html`<div class="stack">
      ${active(one)
        ? html`<section class="card" aria-label="How far it is"><${Running} kind="evaluation" job=${one} name=${title}/></section>`
        : one.status !== "succeeded" && html`<p role="status" class="bad">${status("evaluation", one)}.</p>`}
      <p class="links"><a href=${link("watch", { model: one.model_id })}>The model</a><a href=${link("watch", { dataset: one.dataset })}>The data set</a><a href=${link("look", { model: one.model_id, dataset: one.dataset })}>See inside</a></p>
      ${one.warnings.map((each, at) => html`<p key=${at} class="say"><${Said} text=${each} /></p>`)}
      ${one.report && html`<${Found} one=${one} path=${path} params=${params} />`}
      ${one.status !== "succeeded" && html`<${Log} path=${path} />`}
    </div>`}`;
}

function Found({ one, path, params }) {
  const { report } = one;
  const target = report.values.length ? "values" : report.calibration.length ? "class" : "labels";
  const change = (changes) => go("watch", { evaluation: one.id, ...changes }, { replace: true });
  const chosen = { label: params.label, predicted: params.predicted, missed: params.missed, invented: params.invented, value: params.value };
  return html`
    <section class="card" aria-label="What was found"><h2>What was found</h2>
      <div class="say">${words(report, one.split).map((each) => html`<p key=${each}>${each}</p>`)}</div>
      <${Facts} entries=${[
        ...Object.entries(report.top_k).map(([k, share]) => [k === "1" ? "Right" : `Among the first ${k}`, percent(share, 1)]),
        [`Mean F1 of the ${target === "labels" ? "labels" : "classes"}`, report.macro?.f1 !== null && report.macro?.f1 !== undefined ? percent(report.macro.f1, 1) : null],
        ["Asked for", when(one.created_at)], ["Id", html`<code>${one.id}</code>`],
      ]} />
    </section>
    ${target === "class" && html`<${Matrix} path=${path} chosen=${chosen} choose=${(label, predicted) => change({ label, predicted })} />`}
    <${Behind} one=${one} path=${path} target=${target} chosen=${chosen} change=${change} />
    ${report.classes.length > 0 && html`<${Classes} classes=${report.classes} target=${target} change=${change} />`}
    ${report.calibration.length > 0 && html`<${Calibration} bins=${report.calibration} error=${report.expected_calibration_error} />`}
    ${report.values.length > 0 && html`<${Values} values=${report.values} errors=${report.mean_squared_errors} change=${change} />`}`;
}

/** The figures as sentences, the one that says most first. */
function words(report, split) {
  const said = [];
  if (report.accuracy !== null) {
    const right = Math.round(report.accuracy * report.images);
    const { low, high } = report.interval ?? {};
    said.push(`It is right about ${right.toLocaleString("en")} of ${count(report.images, `${split} picture`)} (${percent(report.accuracy, 1)})${report.interval ? `; of very many it would be between ${percent(low, 1)} and ${percent(high, 1)}` : ""}.`);
  } else {
    said.push(`It has predicted ${count(report.images, `${split} picture`)}${report.values.length ? `; ${report.values.map((one) => `${one.name} is off by ${precise(one.mean_absolute_error)} in the mean`).slice(0, 4).join(", ")}` : ""}.`);
  }
  const errors = Object.entries(report.errors).filter(([, one]) => one.error !== null && one.images);
  if (errors.length > 1) said.push(`It is wrong about ${errors.map(([name, one]) => `${percent(one.error, 1)} of ${name}`).join(", ")}.`);
  if (report.diagnosis) said.push(report.diagnosis.advice);
  return said;
}
