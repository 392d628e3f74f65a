/** Models, newest first, and the way in for those of other servers. */
import { get, upload } from "../../lib/api.js";
import { html, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link, wayOn } from "../../lib/router.js";
import { bytes, count, percent, when } from "../../lib/words.js";
import { Drop } from "../../parts/drop.js";
import { ProblemBox } from "../../parts/problem.js";
import { Progress } from "../../parts/progress.js";
import { NOUNS } from "./kinds.js";
import { useLists } from "./live.js";
import { Filters, Rest } from "./shared.js";

const LISTS = ["v1/models"];

/** The figure of a model that says most, in words. */
function best(model) {
  const { test_accuracy: tested, test_loss: loss } = model.metrics;
  if (tested !== null && tested !== undefined) return `${percent(tested, 1)} right`;
  return loss === null || loss === undefined ? "not measured" : `loss ${loss.toFixed(3)}`;
}

/** The aliases of some names: {model id: [alias]}. */
async function aliasesOf(names, signal) {
  const found = {};
  await Promise.all(names.map(async (name) => {
    const { data } = await get(`v1/models/${encodeURIComponent(name)}/aliases`, {}, { signal });
    for (const one of data) (found[one.model_id] ??= []).push(one.alias);
  }));
  return found;
}

export function Models({ params }) {
  const list = useLists(LISTS, { contains: params.name, tag: params.tag });
  const rows = list.rows ?? [];
  const names = [...new Set(rows.map((one) => one.name))];
  const aliases = useLoaded((signal) => aliasesOf(names, signal), [names.join("\n")]);
  return html`<${Filters} params=${params} fields=${[{ name: "name", label: "In the name" }, { name: "tag", label: "Tag" }]} />
    <${Import} />
    ${rows.length > 0 && html`<div class="card scroll" tabIndex="0" role="region" aria-label="Models"><table class="list rows">
      <thead><tr><th>Model</th><th>Stands for it</th><th>Tells</th><th>Test pictures</th><th class="num">Size</th><th>Made</th></tr></thead>
      <tbody>${rows.map((one) => html`<tr key=${one.id}>
        <td class="name"><a href=${link("watch", { model: one.id })}>${one.name}</a> <small>version ${one.version}${one.tags.map((tag) => html`<span class="tag">${tag}</span>`)}</small></td>
        <td>${(aliases.value?.[one.id] ?? []).map((alias) => html`<span class="tag" key=${alias}>${alias}</span>`)}</td>
        <td>${count(one.classes.length, ...NOUNS[one.target])}</td>
        <td>${best(one)}</td><td class="num">${bytes(one.bytes)}</td><td class="when">${when(one.created_at)}</td>
      </tr>`)}</tbody>
    </table></div>`}
    <${Rest} list=${list} empty="No model is like that." />`;
}

/** Take in the file of a model, also one with the weights of torchvision or timm. */
function Import() {
  const [state, setState] = useState({});
  const form = useRef(null);
  const take = async ([{ file }]) => {
    const on = wayOn();
    const stopping = new AbortController();
    const follow = (share) => setState({ share, stop: () => stopping.abort() });
    follow(0);
    const body = new FormData();
    for (const name of ["name", "preset"]) {
      const text = form.current.elements[name].value.trim();
      if (text) body.append(name, text);
    }
    const classes = form.current.elements.classes.value.split("\n").map((one) => one.trim()).filter(Boolean);
    if (classes.length) body.append("classes", JSON.stringify(classes));
    body.append("file", file, file.name);
    try {
      const { json } = await upload("v1/models/import", body, { onprogress: follow, signal: stopping.signal });
      on("watch", { model: json.id });
      setState({});
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<details class="import"><summary>Import a model</summary>
    <form class="stack card" ref=${form} onSubmit=${(event) => event.preventDefault()}>
      <div class="row">
        <label class="field"><span>Name, if not the file's own</span><input name="name" maxlength="100" /></label>
        <label class="field"><span>Preset, of weights from torchvision or timm</span><input name="preset" placeholder="resnet-18" /></label>
      </div>
      <details><summary>Classes of such weights</summary><label class="field"><span>A class a line, in the order of the outputs</span><textarea name="classes" rows="4"></textarea></label></details>
      <${Drop} take=${take} multiple=${false} accept=".safetensors,application/octet-stream" words="A safetensors file" />
      ${state.share !== undefined && html`<${Progress} share=${state.share} label="How much has been sent" note=${state.share < 1 ? `Sending, ${percent(state.share)}` : "The server checks it"} stop=${state.stop} />`}
      <${ProblemBox} problem=${state.problem} />
    </form>
  </details>`;
}
