/** One data set: what is in it, samples of each class, its pictures, and what was corrected. */
import { get, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { wayOn } from "../../lib/router.js";
import { SOON } from "../../lib/news.js";
import { bytes, count, shape, when } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Progress } from "../../parts/progress.js";
import { Said } from "../../parts/said.js";
import { state } from "./datasets.js";
import { NOUNS } from "./kinds.js";
import { useLive } from "./live.js";
import { Delete, Facts, Opened, useTitle } from "./shared.js";
import { All, Corrected, Samples } from "./samples.js";
import { Statistics } from "./statistics.js";

export function Dataset({ id, params }) {
  const path = `v1/datasets/${encodeURIComponent(id)}`;
  const live = useLive((signal) => get(path, {}, { signal }), [path], ({ event, data }) => (event === "changed" ? data.lists.includes("datasets") : data.dataset_id === id && ["ingestion", "addition", "download"].includes(data.kind)) && SOON);
  const [problem, setProblem] = useState(null);
  const one = live.value;
  useTitle(one?.name);
  const ready = one?.status === "ready";
  const teach = () => {
    const on = wayOn();
    post("v1/training-jobs", { dataset: one.id }).then((job) => on(one.target === "class" ? "teach" : "watch", { job: job.id }), setProblem);
  };
  const cancel = () => post(`${path}/cancel`, {}).then(live.again, setProblem);
  return html`<${Opened} tab="datasets" list="Data sets" title=${one?.name ?? id}>
      ${ready && html`<button type="button" class="primary" onClick=${teach}>Teach on it</button>`}
      ${one && !one.builtin && one.status !== "ingesting" && html`<${Delete} what=${one.name} path=${path} to="datasets">${count(one.images, "picture")} go with it; models that learned from it stay.<//>`}
    <//>
    <${ProblemBox} problem=${live.problem ?? problem} again=${live.problem && live.again} />
    ${one && html`<div class="stack">
      ${one.status === "ingesting" ? html`<section class="card" aria-label="How far it is"><${Progress} share=${one.progress?.fraction} label="How far it is" note=${state(one)} stop=${cancel} /></section>`
        : html`<p role="status" class=${one.status === "failed" ? "bad" : ""}>${state(one)}.</p>`}
      ${ready && html`<${About} one=${one} />
        <${Samples} one=${one} path=${path} />
        <${Statistics} one=${one} path=${path} />
        <${All} one=${one} path=${path} params=${params} changed=${live.again} />
        ${one.revision > 0 && html`<${Corrected} path=${path} revision=${one.revision} />`}`}
    </div>`}`;
}

function About({ one }) {
  const { train, dev, test } = one.splits;
  const { skipped, counts, notes, warnings } = one.report;
  const left = counts && Object.entries({ unreadable: "unreadable", duplicate: "there already", misplaced: "of no class", contradiction: "there already as another class" })
    .filter(([name]) => counts[name]).map(([name, text]) => `${counts[name].toLocaleString("en")} ${text}`).join(", ");
  return html`<section class="card" aria-label="What is in it"><h2>What is in it</h2>
    ${warnings.length > 0 && html`<div class="say">${warnings.map((text, at) => html`<p key=${at}><${Said} text=${text} /></p>`)}</div>`}
    ${notes.map((text, at) => html`<p class="soft" key=${at}><${Said} text=${text} /></p>`)}
    <${Facts} entries=${[
      ["Pictures", `${one.images.toLocaleString("en")} of ${shape(one.image_shape)}`],
      ["Train, dev, test", `${train.toLocaleString("en")}, ${dev.toLocaleString("en")}, ${test.toLocaleString("en")}`],
      ["Left out", one.excluded ? count(one.excluded, "picture") : null], ["Files left out", skipped ? `${count(skipped, "file")}${left ? `: ${left}` : ""}` : null],
      [one.target === "class" ? "Classes" : one.target === "labels" ? "Labels" : "Values", count(one.classes.length, ...NOUNS[one.target])],
      ["Uploaded as", one.report.source && `${one.report.source.filename}, ${bytes(one.report.source.bytes)}`], ["Size here", bytes(one.bytes)],
      ["Corrections", one.revision || null], ["Tags", one.tags.join(", ")], ["Made", when(one.created_at)], ["Id", html`<code>${one.id}</code>`],
    ]} />
    ${one.chosen.length > 0 && html`<details><summary>What was chosen, and why</summary><ul>${one.chosen.map((each) => html`<li key=${each.field}><b>${each.field.replaceAll("_", " ")}</b> ${JSON.stringify(each.value)}: ${each.reason}</li>`)}</ul></details>`}
    ${skipped > 0 && one.report.files.length > 0 && html`<details><summary>Which files were left out</summary><ul class="files">${one.report.files.slice(0, 200).map((file, at) => html`<li key=${at}><b>${file.name}</b> ${file.reason}</li>`)}</ul></details>`}
  </section>`;
}
