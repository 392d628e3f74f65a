/** Two networks side by side. */
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { large } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";

const NAMES = {
  parameters: "numbers to learn", multiply_adds: "multiplications a picture", weight_bytes: "bytes of weights",
  activation_bytes: "bytes to predict one", training_bytes: "bytes to train", nodes: "nodes", depth: "layers with weights, one after another",
  receptive_field_height: "rows that the last map sees", receptive_field_width: "columns that the last map sees",
};

/** `network` beside a preset, or beside itself as it was when "as it is now" was kept. */
export function Compare({ network, presets }) {
  const [other, setOther] = useState("");
  const [kept, setKept] = useState(null);
  const beside = other === "kept" ? kept : other ? { preset: other } : null;
  const done = useLoaded((signal) => beside && post("v1/architectures/compare", { architectures: [network, beside] }, { signal }),
    [JSON.stringify(network), JSON.stringify(beside)]);
  const changes = done.value?.layers.filter((one) => one.change !== "unchanged") ?? [];
  return html`<section class="card" aria-label="Beside another">
    <h2>Beside another</h2>
    <div class="row tools">
      <select aria-label="compare with" value=${other} onChange=${(event) => setOther(event.target.value)}>
        <option value="">compare with ...</option>
        ${kept && html`<option value="kept">as it was</option>`}
        ${presets.map((one) => html`<option key=${one.name} value=${one.name}>${one.name}</option>`)}
      </select>
      <button type="button" onClick=${() => { setKept(network); setOther("kept"); }}>Keep as it is now</button>
    </div>
    <${ProblemBox} problem=${beside && done.problem} />
    ${beside && done.value && html`<div class="scroll" tabIndex="0" role="group" aria-label="differences"><table>
      <thead><tr><th></th><th class="num">this one</th><th class="num">${other === "kept" ? "as it was" : other}</th></tr></thead>
      <tbody>${Object.entries(done.value.differences).map(([name, one]) => html`<tr key=${name}>
        <td>${NAMES[name] ?? name.replaceAll("_", " ")}</td>${one.values.map((value, at) => html`<td key=${at} class="num">${value === null ? "–" : large(value)}</td>`)}</tr>`)}
      </tbody></table></div>
      <p class="soft">${changes.length ? `${changes.length} layers differ.` : "Layer by layer they are the same."}</p>`}
  </section>`;
}
