/** Look: a model and a picture, and the way through the network. */
import { all, get, pictureForm, post } from "../lib/api.js";
import { html, useCallback } from "../lib/html.js";
import { useLoaded } from "../lib/load.js";
import { go } from "../lib/router.js";
import { percent, precise } from "../lib/words.js";
import { Bars } from "../parts/bars.js";
import { LocalPicture } from "../parts/picture.js";
import { ProblemBox } from "../parts/problem.js";
import { Tabs } from "../parts/tabs.js";
import { Own, Samples } from "./look/choose.js";
import { Explanations } from "./look/explain.js";
import { Filters } from "./look/filters.js";
import { datasetOf, keepOwn, ownPicture, samplePicture } from "./look/picture.js";
import { Inner } from "./look/inner.js";

const EXAMPLE = "model_example";
const TABS = [
  { id: "way", label: "The way through" },
  { id: "why", label: "What speaks for it" },
  { id: "filters", label: "Filters" },
];

export default function Look({ params }) {
  const change = useCallback((changes, replace = true) => go("look", { ...params, ...changes }, { replace }), [params]);
  const known = useLoaded(async (signal) => {
    const [models, datasets] = await Promise.all([all("v1/models", {}, 1000, { signal }), all("v1/datasets", {}, 1000, { signal })]);
    return { models, datasets: datasets.filter((one) => one.status === "ready") };
  }, []);
  const { models = [], datasets = [] } = known.value ?? {};
  const model = models.find((one) => one.id === params.model) ?? (params.model ? null : models.find((one) => one.id === EXAMPLE) ?? models[0]);
  const missing = known.value && params.model && !model && new Error(`There is no model ${params.model} here any more. Choose another one.`);
  return html`<h1>Look</h1>
    <${ProblemBox} problem=${known.problem ?? missing} again=${known.problem && known.again} />
    <label class="field model"><span>Model</span>
      <select value=${model?.id ?? ""} onChange=${(event) => change({ model: event.target.value, node: null, at: null, class: null, filters: null })}>
        ${!model && html`<option value=""></option>`}
        ${models.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}, version ${one.version}</option>`)}
      </select></label>
    ${model && html`<${Looked} key=${model.id} model=${model} datasets=${datasets} params=${params} change=${change} />`}`;
}

/** A model, with a picture that may be on its way. */
function Looked({ model, datasets, params, change }) {
  const home = useLoaded((signal) => datasetOf(model, datasets, signal), [model.id]);
  const dataset = params.dataset ?? home.value;
  const mine = params.picture === "own" && ownPicture();
  const number = params.number === undefined ? null : Number(params.number);
  const picture = useLoaded(async (signal) => {
    if (mine) return { file: mine, words: mine.name };
    if (!dataset) return null;
    const set = datasets.find((one) => one.id === dataset) ?? { id: dataset, name: dataset };
    return samplePicture(set, number ?? (await first(dataset, signal)), signal);
  }, [mine, dataset, number]);
  const shown = picture.value;
  const take = useCallback((file) => {
    keepOwn(file);
    change({ picture: "own", number: null });
  }, [change]);
  const predicted = useLoaded((signal) => (shown ? predict(model, shown.file, signal) : Promise.resolve(null)), [model.id, shown]);
  const tab = TABS.some((one) => one.id === params.tab) ? params.tab : "way";
  return html`
    <p class="lead" role="status">${said(model, predicted)}</p>
    <section class="card looked">
      <div class="it">
        ${shown ? html`<${LocalPicture} file=${shown.file} alt=${shown.words} class="pixels" width="152" height="152" />` : html`<div class="picture empty"></div>`}
        <small class="count">${shown?.words}${params.picture === "own" && !mine && "; the picture of the link is not in this tab"}</small>
      </div>
      <div class="seen">
        <${ProblemBox} problem=${picture.problem ?? predicted.problem} again=${picture.problem ? picture.again : predicted.again} />
        ${predicted.value && html`<${Seen} model=${model} prediction=${predicted.value} />`}
      </div>
      <div class="others">
        <${Samples} datasets=${datasets} dataset=${dataset} number=${mine ? null : number}
          turn=${(id) => change({ dataset: id, number: null, picture: null })} choose=${(one) => change({ dataset, number: one, picture: null })} />
        <${Own} take=${take} />
      </div>
    </section>
    <${Tabs} tabs=${TABS} chosen=${tab} choose=${(id) => change({ tab: id === "way" ? null : id })} label="What to look at" />
    ${tab === "way" && shown && html`<${Inner} model=${model} file=${shown.file} params=${params} change=${change} />`}
    ${tab === "why" && shown && html`<${Explanations} model=${model} file=${shown.file} prediction=${predicted.value} params=${params} change=${change} />`}
    ${tab === "filters" && html`<${Filters} model=${model} params=${params} change=${change} />`}
    ${!shown && !picture.busy && !picture.problem && html`<p>Choose a picture, and see what the network makes of it.</p>`}`;
}

/** The number of a data set's first test picture, else of its first. */
async function first(dataset, signal) {
  const path = `v1/datasets/${encodeURIComponent(dataset)}/images`;
  const tested = await get(path, { split: "test", limit: 1 }, { signal });
  return tested.data[0]?.number ?? 0;
}

async function predict(model, file, signal) {
  return (await post(`v1/models/${encodeURIComponent(model.id)}/predict`, pictureForm(file), { query: { top_k: Math.min(5, model.classes.length) }, signal })).data[0];
}

/** What a model sees, in a sentence. */
function said(model, { value, busy, problem }) {
  if (problem) return "";
  if (!value) return busy ? "…" : "";
  const point = "Point at a number of any map to see how it comes about.";
  if (value.values) return `${model.name} says ${value.values.slice(0, 3).map((one) => `${one.name} ${precise(one.value)}`).join(", ")}. ${point}`;
  if (value.labels) {
    const names = value.labels.map((one) => one.label);
    return `${model.name} sees ${names.length ? names.join(", ") : "none of its labels"}. ${point}`;
  }
  return `${model.name} sees ${value.label}, ${sure(value.probability)}. ${point}`;
}

/** Nothing is certain but what is said to be. */
function sure(probability) {
  return probability >= 0.995 && probability < 1 ? "over 99 %" : percent(probability);
}

function Seen({ model, prediction }) {
  if (prediction.values) {
    return html`<table><tbody>${prediction.values.map((one) => html`<tr key=${one.name}><th>${one.name}</th><td class="num">${precise(one.value)}</td></tr>`)}</tbody></table>`;
  }
  return html`<${Bars} label=${`what ${model.name} sees`} digits=${1} entries=${prediction.top.map((one) => ({ label: one.label, share: one.probability }))} />`;
}
