/** The fully connected layer: every input number with every output number. */
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { Numbers } from "../../parts/numbers.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { changed, Section, useCall } from "./shared.js";

export function Dense() {
  const [map, setMap] = useState([[1, 0, 2], [0, 3, 1]]);
  const [units, setUnits] = useState(2);
  const [unit, setUnit] = useState(0);
  const shown = Math.min(unit, units - 1);
  const vector = map.flat();
  const done = useCall((signal) => post("v1/operations/dense", {
    input: vector, layer: { units, activation: "relu" }, weights: { seed: 1 }, trace: { positions: [[Math.min(unit, units - 1)]] },
  }, { signal }), [map, units, unit]);
  const trace = done.value?.trace[0];
  return html`<${Section} id="dense" title="Flatten, and a fully connected layer">
    <p>The maps are laid out as one vector. Each output number is a sum over all of it, each number times a weight of its own,
      plus a bias; then the activation: a_j = ψ(Σ w_jl · a_l + b_j).</p>
    <div class="controls">
      <${Slider} name="Output numbers" at=${units} from=${1} to=${6} set=${setUnits} />
      <p class="sum">to learn: ${vector.length} × ${units} weights + ${units} biases = <b>${vector.length * units + units}</b></p>
    </div>
    <${ProblemBox} problem=${done.problem} />
    <div class="equation scroll" tabIndex="0" role="group" aria-label="from input to output">
      <${Numbers} rows=${map} caption="map, 2 × 3 × 1" label="the map" edit=${(y, x, number) => setMap(changed(map, y, x, number))} />
      <span class="sign" aria-hidden="true">→</span>
      <${Numbers} rows=${[vector]} caption=${`vector, ${vector.length} numbers`} label="the vector" />
      <span class="sign" aria-hidden="true">→</span>
      ${done.value && html`<${Numbers} rows=${[done.value.output]} caption="output; choose a number" label="the output"
        marked=${(y, x) => x === shown} choose=${(y, x) => setUnit(x)} />`}
    </div>
    <p class="sum reserve-line">${trace && html`${trace.expression}${trace.through && html`; then ${trace.through.expression}`}`}</p>
  <//>`;
}
