/** One batch prediction: how far it is, and its table. */
import { html } from "../../lib/html.js";
import { useJob } from "../../lib/jobs.js";
import { link } from "../../lib/router.js";
import { when } from "../../lib/words.js";
import { Running } from "./jobs.js";
import { active, outcome, status } from "./kinds.js";
import { Log } from "./log.js";
import { Away, Delete, Download, Facts, Opened, useTitle } from "./shared.js";

export function Batch({ id }) {
  const path = `v1/batch-predictions/${encodeURIComponent(id)}`;
  const { job, problem, lost } = useJob("batch-predictions", id);
  const name = job?.filename || "An archive of pictures";
  useTitle(job && name);
  return html`<${Opened} tab="jobs" list="Jobs" title=${job ? name : id}>
      ${job?.status === "succeeded" && html`<${Download} path=${`${path}/result`} name=${`${id}.csv`} accept="text/csv">Save the table<//>`}
      ${job && !active(job) && html`<${Delete} what="this batch prediction" path=${path} to="jobs">Its table goes with it.<//>`}
    <//>
    <${Away} problem=${problem} lost=${lost} />
    ${job && html`<div class="stack">
      ${active(job)
        ? html`<section class="card" aria-label="How far it is"><${Running} kind="batch" job=${job} name=${name}/></section>`
        : html`<p role="status" class=${job.status === "failed" ? "bad" : ""}>${status("batch", job)}. ${outcome("batch", job)}</p>`}
      <${Facts} entries=${[["Model", html`<a href=${link("watch", { model: job.model_id })}>${job.model_id}</a>`], ["Asked for", when(job.created_at)], ["Classes named of each", job.top_k]]} />
      <${Log} path=${path} />
    </div>`}`;
}
