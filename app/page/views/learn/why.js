/** Why it works: weights are shared and connections are few. Convolution beside a dense layer with the same output. */
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { large, percent, shape } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Amounts, Section, useCall } from "./shared.js";

export function Why() {
  const [size, setSize] = useState(28);
  const [f, setF] = useState(5);
  const [filters, setFilters] = useState(6);
  const done = useCall((signal) => post("v1/architectures/summary", {
    input_shape: [size, size, 1], layers: [{ type: "conv2d", filters, kernel_size: f }],
  }, { signal }), [size, f, filters]);
  const layer = done.value?.layers[0];
  return html`<${Section} id="why" title="Why so few numbers are enough">
    <p>What finds an edge in one corner finds it in every other: a filter's numbers are shared by all places. And each number of
      the output looks at a small window only. A fully connected layer with the same output has a number for every pair.</p>
    <div class="controls">
      <${Slider} name="Image size" symbol=${html`n<sub>H</sub>`} at=${size} from=${12} to=${224} step=${4} set=${setSize} />
      <${Slider} name="Filter size" symbol="f" at=${f} from=${1} to=${9} step=${2} set=${setF} />
      <${Slider} name="Filters" at=${filters} from=${1} to=${64} set=${setFilters} />
    </div>
    <${ProblemBox} problem=${done.problem} />
    ${layer && html`
      <${Amounts} label="numbers to learn" format=${large} entries=${[
        { label: "convolution", amount: layer.parameters },
        { label: "fully connected", amount: layer.dense_equivalent_parameters },
      ]} />
      <p class="sum">from ${shape([size, size, 1])} to ${shape(layer.output_shape)}: (${f} × ${f} × 1 + 1) × ${filters} = <b>${large(layer.parameters)}</b>${" "}
        instead of ${large(layer.dense_equivalent_parameters)}; ${percent(layer.connection_density, 2)} of the pairs are connected</p>`}
  <//>`;
}
