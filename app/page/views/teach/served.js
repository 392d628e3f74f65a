/** Teach on a data set that the service has: how well a job learns from it, and what it learned to be tried. */
import { get, post, request, send } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { FINISHED, useJob } from "../../lib/jobs.js";
import { useLoaded } from "../../lib/load.js";
import { link, wayOn } from "../../lib/router.js";
import { count } from "../../lib/words.js";
import { Learning } from "./learning.js";
import { Trying } from "./trying.js";

/** `id`: the job. */
export function Served({ id }) {
  const { job, metrics, problem, lost } = useJob("training-jobs", id);
  const [fault, setFault] = useState(null);
  const dataset = useLoaded((signal) => job && get(`v1/datasets/${job.dataset}`, {}, { signal }), [job?.dataset]).value;
  const working = !problem && !FINISHED.has(job?.status);
  const failed = job?.status === "failed" ? Object.assign(new Error(job.error?.message), { title: "It could not be taught" }) : null;
  const run = { phase: "training", asked: true, job, metrics, lost, share: job?.progress.fraction ?? null, problem: problem ?? fault ?? failed };
  const stop = () => request(`v1/training-jobs/${id}/cancel`, { method: "POST" }).catch((error) => error.status === 409 || setFault(error));
  const again = () => {
    const on = wayOn();
    post("v1/training-jobs", { dataset: job.dataset }).then((made) => on("teach", { job: made.id }), setFault);
  };
  const correct = ({ number }, change) => send("PATCH", `v1/datasets/${job.dataset}/images/${number}`, change);
  return html`<div class="teach">
    <h1>Teach</h1>
    <p class="lead">${dataset
      ? html`On <a href=${link("watch", { dataset: dataset.id })}>${dataset.name}</a>: ${count(dataset.images, "picture")} of ${count(dataset.classes.length, "class", "classes")} that this server has.`
      : "On pictures that this server has."} To teach with others, <a href=${link("teach")}>drop your own</a>.</p>
    ${job && !working && html`<div class="begin row"><button type="button" class="primary" onClick=${again}>Teach again</button></div>`}
    <div class="row outcome">
      <${Learning} run=${run} working=${working} stop=${stop} again=${job ? again : null} correct=${correct} names=${dataset?.classes.map((one) => one.name) ?? []} />
      ${job?.model_id && !working && html`<${Trying} model=${job.model_id} />`}
    </div>
  </div>`;
}
