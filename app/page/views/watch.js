/** Watch: what the service is doing and has made. Everything has an address: #/watch?job=..., #/watch?model=... */
import { html } from "../lib/html.js";
import { go } from "../lib/router.js";
import { Tabs } from "../parts/tabs.js";
import { Batch } from "./watch/batch.js";
import { Comparison } from "./watch/comparison.js";
import { Datasets } from "./watch/datasets.js";
import { Dataset } from "./watch/dataset.js";
import { Evaluation } from "./watch/evaluation.js";
import { Evaluations } from "./watch/evaluations.js";
import { Job } from "./watch/job.js";
import { Jobs } from "./watch/jobs.js";
import { Model } from "./watch/model.js";
import { Models } from "./watch/models.js";

const TABS = [
  { id: "jobs", label: "Jobs", list: Jobs },
  { id: "models", label: "Models", list: Models },
  { id: "evaluations", label: "Evaluations", list: Evaluations },
  { id: "datasets", label: "Data sets", list: Datasets },
];
/** By the parameter that names what is open: the tab that it belongs to, and what shows it. */
const OPEN = {
  job: { tab: "jobs", view: Job },
  batch: { tab: "jobs", view: Batch },
  model: { tab: "models", view: Model },
  evaluation: { tab: "evaluations", view: Evaluation },
  compare: { tab: "evaluations", view: Comparison },
  dataset: { tab: "datasets", view: Dataset },
};

export default function Watch({ params }) {
  const named = Object.keys(OPEN).find((name) => params[name]);
  const tab = TABS.find((one) => one.id === (named ? OPEN[named].tab : params.tab)) ?? TABS[0];
  return html`<div class="watch">
    <h1>Watch</h1>
    <p class="lead">What this server is doing, and everything that it has made.</p>
    <${Tabs} tabs=${TABS} chosen=${tab.id} choose=${(id) => go("watch", { tab: id === "jobs" ? null : id })} label="What to see" />
    <div role="tabpanel" aria-label=${tab.label}>
      ${named
        ? html`<${OPEN[named].view} key=${named + params[named]} id=${params[named]} params=${params} />`
        : html`<${tab.list} key=${tab.id} params=${params} />`}
    </div>
  </div>`;
}
