/** One model: its figures, how it was made, its names, and a picture to try. */
import { all, get, post, send } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { bytes, count, percent, precise, shape, when } from "../../lib/words.js";
import { Bars } from "../../parts/bars.js";
import { Drop } from "../../parts/drop.js";
import { LocalPicture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Aliases } from "./aliases.js";
import { worded } from "./kinds.js";
import { Delete, Download, Facts, Opened, Raw, useTitle } from "./shared.js";

const SHOWN = 5;

export function Model({ id }) {
  const path = `v1/models/${encodeURIComponent(id)}`;
  const loaded = useLoaded((signal) => get(path, {}, { signal }), [path]);
  const model = loaded.value;
  const name = model && `${model.name}, version ${model.version}`;
  useTitle(name);
  return html`<${Opened} tab="models" list="Models" title=${name || id}>
      ${model && html`<${Download} path=${`${path}/weights`} name=${`${model.name}-${model.version}.safetensors`}>Save the file, ${bytes(model.bytes)}<//>
        ${!model.builtin && html`<${Delete} what=${name} path=${path} to="models">The run that made it stays.<//>`}`}
    <//>
    <${ProblemBox} problem=${loaded.problem} again=${loaded.again} />
    ${model && html`<div class="stack">
      <p class="links"><a href=${link("look", { model: model.id })}>See inside</a>
        <a href=${link("watch", { tab: "evaluations", of: model.id })}>Evaluate it</a>
        ${model.training_job_id && html`<a href=${link("watch", { job: model.training_job_id })}>The run that made it</a>`}
        <a href=${link("watch", { tab: "models", name: model.name })}>All versions</a></p>
      <div class="row">
        <${About} model=${model} />
        <${TryIt} model=${model} path=${path} />
      </div>
      <${Aliases} model=${model} />
      <${Described} model=${model} path=${path} again=${loaded.again} />
      <${Provenance} model=${model} />
    </div>`}`;
}

function About({ model }) {
  const figures = Object.entries(model.metrics).map(([name, number]) => [
    worded(name), number === null ? null : name.endsWith("accuracy") ? percent(number, 1) : precise(number),
  ]);
  return html`<section class="card grow" aria-label="What it is"><h2>What it is</h2>
    ${model.description && html`<p>${model.description}</p>`}
    <${Facts} entries=${[
      [model.target === "class" ? "Classes" : worded(model.target), `${model.classes.slice(0, 12).join(", ")}${model.classes.length > 12 ? ` and ${count(model.classes.length - 12, "other")}` : ""}`],
      ["Sees", `${shape(model.input_shape)} numbers of a picture`], ...figures,
      ["Size", bytes(model.bytes)], ["Made", when(model.created_at)], ["Tags", model.tags.join(", ")],
      ["Id", html`<code>${model.id}</code>`], ["SHA-256", html`<code class="long">${model.sha256}</code>`],
    ]} /></section>`;
}

/** Drop a picture and see what the model makes of it. */
function TryIt({ model, path }) {
  const [state, setState] = useState({});
  const take = async ([{ file }]) => {
    setState({ file });
    const form = new FormData();
    form.append("files", file, file.name);
    try {
      const answer = await post(`${path}/predict`, form, { query: { top_k: Math.min(SHOWN, model.classes.length) } });
      setState({ file, prediction: answer.data[0] });
    } catch (problem) {
      setState({ file, problem });
    }
  };
  const { file, prediction, problem } = state;
  return html`<section class="card grow" aria-label="Try it"><h2>Try it</h2>
    <div class="stack">
      <${Drop} take=${take} multiple=${false} words="Drop a picture" />
      ${file && html`<div class="row tried"><${LocalPicture} file=${file} alt=${file.name} width="96" height="96" />
        <div class="grow" role="status">${prediction && html`<${Told} model=${model} prediction=${prediction} />`}</div></div>`}
      <${ProblemBox} problem=${problem} />
    </div>
  </section>`;
}

function Told({ model, prediction }) {
  if (prediction.values) return html`<${Facts} entries=${prediction.values.map((one) => [one.name, precise(one.value)])} />`;
  const entries = prediction.top.map((one) => ({ label: one.label, share: one.probability }));
  return html`${model.target === "labels" && html`<p>${prediction.labels.length ? `It sees ${prediction.labels.map((one) => one.label).join(", ")}.` : "It sees none of its labels."}</p>`}
    <${Bars} entries=${entries} digits=${1} />`;
}

/** Rename and describe; what it computes never changes. */
function Described({ model, path, again }) {
  const [state, setState] = useState({});
  const save = async (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const tags = given.get("tags").split(",").map((one) => one.trim()).filter(Boolean);
    const name = given.get("name").trim();
    setState({ busy: true });
    try {
      // under its own name it would become no other version, but under another it does
      await send("PATCH", path, { ...(name !== model.name && { name }), description: given.get("description").trim() || null, tags });
      setState({ saved: true });
      again();
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<details><summary>Rename or describe it</summary>
    <form class="stack card" onSubmit=${save}>
      <div class="row"><label class="field"><span>Name</span><input name="name" required maxlength="100" defaultValue=${model.name} /></label>
        <label class="field"><span>Tags, with commas between</span><input name="tags" defaultValue=${model.tags.join(", ")} /></label></div>
      <label class="field"><span>Description</span><textarea name="description" rows="3" maxlength="10000" defaultValue=${model.description ?? ""}></textarea></label>
      <p class="soft">Under another name it becomes that name's next version. ${model.builtin && "It came with the server."}</p>
      <div class="row"><button class="primary" disabled=${state.busy}>Save</button><span role="status">${state.saved ? "Saved" : ""}</span></div>
      <${ProblemBox} problem=${state.problem} />
    </form>
  </details>`;
}

function Provenance({ model }) {
  const made = model.provenance;
  const sets = useLoaded((signal) => (made?.dataset ? all("v1/datasets", {}, 1000, { signal }) : Promise.resolve([])), [model.id]);
  if (!made) return html`<p class="soft">How it was made cannot be read: its file is damaged.</p>`;
  const { dataset, initial_weights: initial, training, environment, origin } = made;
  const home = sets.value?.find((one) => one.fingerprint && one.fingerprint === dataset?.fingerprint);
  const pictures = dataset && `${dataset.name}, ${count(dataset.images, "picture")}`;
  return html`<section class="card" aria-label="How it was made"><h2>How it was made</h2>
    <${Facts} entries=${[
      ["Pictures", home ? html`<a href=${link("watch", { dataset: home.id })}>${pictures}</a>` : pictures],
      ["Began with", initial && [initial.name ?? initial.model, initial.version && `version ${initial.version}`].filter(Boolean).join(", ")],
      ["Weights of others", origin && Object.entries(origin).map(([name, what]) => `${worded(name)}: ${what}`).join("; ")],
      ["Epochs", training?.epochs], ["Optimizer", training?.optimizer?.type],
      ["Computed with", environment?.numpy && `NumPy ${environment.numpy}, ${environment.blas?.split(" ").slice(0, 2).join(" ")}`],
    ]} />
    <${Raw} label="All of it, as JSON" value=${made} />
    <${Raw} label="The network, as JSON" value=${model.architecture} />
  </section>`;
}
