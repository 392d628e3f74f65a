/** A whole network: height and width shrink, channels grow. */
import { get, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { large, shape } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Section } from "./shared.js";

export function Whole() {
  const presets = useLoaded((signal) => get("v1/catalog/presets", {}, { signal }), []);
  const [name, setName] = useState("lenet-5");
  const done = useLoaded((signal) => post("v1/architectures/summary", { preset: name }, { signal }), [name]);
  const layers = done.value?.layers.filter((one) => one.output_shape.length === 3 || one.parameters > 0) ?? [];
  const largest = Math.max(...layers.map((one) => one.output_shape[0]), done.value?.input_shape[0] ?? 1);
  const few = layers.length > 24 ? layers.filter((one, at) => at === layers.length - 1 || size(one) !== size(layers[at + 1])) : layers;
  return html`<${Section} id="network" title="3. A network, layer after layer">
    <p>Convolution, activation, pooling, and again: the maps get smaller and there are more of them. What is left at last is one
      vector, and fully connected layers make the scores of the classes of it.</p>
    <label class="field preset"><span>Network from the literature</span>
      <select value=${name} onChange=${(event) => setName(event.target.value)}>
        ${presets.value?.data.map((one) => html`<option key=${one.name} value=${one.name}>${one.title ?? one.name}</option>`)}
      </select></label>
    <${ProblemBox} problem=${presets.problem ?? done.problem} again=${done.again} />
    ${done.value && html`
      <div class="volumes scroll" tabIndex="0" role="list" aria-label="shapes on the way">
        ${few.map((one) => html`<div role="listitem" key=${one.name} class="volume" title=${one.name}>
          <span class="block" aria-hidden="true" style=${block(one.output_shape, largest)}></span>
          <span class="num">${shape(one.output_shape)}</span><span class="soft">${one.type.replaceAll("_", " ")}</span></div>`)}
      </div>
      <p class="sum"><b>${large(done.value.totals.parameters)}</b> numbers to learn, ${large(done.value.totals.multiply_adds)} multiplications for one picture</p>
      <p><a href=${link("build", { preset: name })}>Change it in Build</a></p>`}
  <//>`;
}

function size(layer) {
  return layer.output_shape.slice(0, 2).join();
}

// height by n_H, width by the channels: roots, or the first block would hide all others
function block(sizes, largest) {
  const [height, , channels] = sizes.length === 3 ? sizes : [1, 1, sizes[0]];
  return { height: `${12 + 108 * Math.sqrt(height / largest)}px`, width: `${4 + 2.2 * Math.sqrt(channels)}px` };
}
