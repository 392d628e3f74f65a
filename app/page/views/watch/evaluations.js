/** Evaluations, newest first; a new one; and two to compare. */
import { all, post } from "../../lib/api.js";
import { html, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link, wayOn } from "../../lib/router.js";
import { when } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Running } from "./jobs.js";
import { active, namesOf, outcome, status, STATUSES } from "./kinds.js";
import { useLists } from "./live.js";
import { Filters, Rest } from "./shared.js";

const LISTS = ["v1/evaluations"];

export function Evaluations({ params }) {
  const list = useLists(LISTS, { status: params.status });
  const known = useRef({});
  const rows = list.rows ?? [];
  const names = useLoaded((signal) => namesOf(rows, signal, known.current), [rows.map((row) => row.id).join()]).value ?? {};
  const [chosen, setChosen] = useState([]);
  const first = rows.find((one) => one.id === chosen[0]);
  // only evaluations on the same pictures can be compared, and not of values
  const fits = (one) => one.status === "succeeded" && one.metrics?.accuracy !== null && (!first || (one.dataset === first.dataset && one.split === first.split));
  const choose = (id, on) => setChosen(on ? [...chosen, id] : chosen.filter((one) => one !== id));
  return html`<${Start} chosen=${params.of} />
    <${Filters} params=${params} fields=${[{ name: "status", label: "Status", options: [["", "Any"], ...STATUSES.map((one) => [one, one])] }]} />
    <p class="row compare" role="status">${chosen.length === 2
      ? html`<a class="button" href=${link("watch", { compare: chosen.join(",") })}>Compare the two</a>`
      : html`<span class="soft">${chosen.length ? "Choose another one on the same pictures to compare with." : "Choose two on the same pictures to compare their models."}</span>`}</p>
    ${rows.length > 0 && html`<div class="card scroll" tabIndex="0" role="region" aria-label="Evaluations"><table class="list rows">
      <thead><tr><th><span class="visually-hidden">Compare</span></th><th>Model</th><th>Pictures</th><th>How far it is</th><th>What came of it</th><th>Asked for</th></tr></thead>
      <tbody>${rows.map((one) => {
        const [model, dataset] = [names[one.model_id] ?? one.model_id, names[one.dataset] ?? one.dataset];
        const on = chosen.includes(one.id);
        return html`<tr key=${one.id}>
          <td><input type="checkbox" checked=${on} disabled=${!on && (!fits(one) || chosen.length === 2)} aria-label=${`Compare ${model} on ${dataset}, ${one.split}`} onChange=${(event) => choose(one.id, event.target.checked)} /></td>
          <td class="name"><a href=${link("watch", { evaluation: one.id })}>${model}</a></td>
          <td>${dataset}, ${one.split}</td>
          <td class="far">${active(one) ? html`<${Running} kind="evaluation" job=${one} name=${model} />` : html`<span class=${one.status === "failed" ? "bad" : ""}>${status("evaluation", one)}</span>`}</td>
          <td>${outcome("evaluation", one)}</td>
          <td class="when">${when(one.created_at)}</td>
        </tr>`;
      })}</tbody>
    </table></div>`}
    <${Rest} list=${list} empty=${params.status ? "No evaluation is like that." : "No model was evaluated yet."} />`;
}

/** Evaluate a model on the pictures of a data set. */
function Start({ chosen }) {
  const known = useLoaded(async (signal) => {
    const [models, datasets] = await Promise.all([all("v1/models", {}, 1000, { signal }), all("v1/datasets", {}, 1000, { signal })]);
    return { models, datasets: datasets.filter((one) => one.status !== "failed") };
  }, []);
  const [picked, pick] = useState({});
  const [state, setState] = useState({});
  const { models = [], datasets = [] } = known.value ?? {};
  const model = models.find((one) => one.id === (picked.model ?? chosen)) ?? models[0];
  // those first that have the model's size and target: the others would be refused
  const fitting = datasets.filter((one) => !model || one.status !== "ready" || (one.target === model.target && one.image_shape.join() === model.input_shape.join()));
  const dataset = fitting.find((one) => one.id === picked.dataset) ?? fitting[0];
  const start = async (event) => {
    event.preventDefault();
    const on = wayOn();
    setState({ busy: true });
    try {
      const made = await post("v1/evaluations", { model: model.id, dataset: dataset.id, split: picked.split ?? "test" });
      on("watch", { evaluation: made.id });
      setState({});
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<form class="card start" onSubmit=${start} aria-label="Evaluate a model"><h2>Evaluate a model</h2>
    <div class="row">
      <label class="field"><span>Model</span><select value=${model?.id ?? ""} onChange=${(event) => pick({ ...picked, model: event.target.value })}>
        ${models.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}, version ${one.version}</option>`)}</select></label>
      <label class="field"><span>Data set of its size</span><select value=${dataset?.id ?? ""} onChange=${(event) => pick({ ...picked, dataset: event.target.value })}>
        ${fitting.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>
      <label class="field"><span>Split</span><select value=${picked.split ?? "test"} onChange=${(event) => pick({ ...picked, split: event.target.value })}>
        ${["test", "dev", "train"].map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select></label>
      <button class="primary low" disabled=${state.busy || !model || !dataset}>Evaluate</button>
    </div>
    ${known.value && model && !dataset && html`<p class="soft">No data set here has pictures of ${model.input_shape.join(" × ")} for it.</p>`}
    <${ProblemBox} problem=${known.problem ?? state.problem} />
  </form>`;
}
