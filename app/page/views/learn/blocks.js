/** Section 5: residual and inception blocks, with what they cost. */
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { large } from "../../lib/words.js";
import { Numbers } from "../../parts/numbers.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Amounts, changed, Section, useCall } from "./shared.js";

const EDGE = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]];

export function Residual() {
  const [image, setImage] = useState([[1, 2, 3, 2], [4, 5, 6, 1], [7, 8, 9, 2], [3, 1, 4, 2]]);
  const [on, setOn] = useState(true);
  const [factor, setFactor] = useState(0);
  const body = [{ type: "conv2d", filters: 1, kernel_size: 3, padding: "same" }];
  const weight = EDGE.map((row) => row.map((one) => one * factor));
  const done = useCall((signal) => on
    ? post("v1/operations/residual", { input: image, layer: { layers: body, activation: "relu" }, weights: { "body/conv2d_1/weight": weight, "body/conv2d_1/bias": 0 } }, { signal })
    : post("v1/operations/conv2d", { input: image, layer: { ...body[0], type: undefined, activation: "relu" }, weights: { weight, bias: 0 } }, { signal }),
  [image, on, factor]);
  return html`<${Section} id="residual" title="5. A residual block: nothing is lost on the way">
    <p>In very deep networks what comes in at the beginning hardly reaches the end. A shortcut adds the input of a block to its
      output: a = ψ(z + a_before). With all weights at 0 the block passes on what it got, so that another block can do no harm.</p>
    <div class="controls">
      <label><input type="checkbox" checked=${on} onChange=${(event) => setOn(event.target.checked)} /> shortcut</label>
      <${Slider} name="Weights times" at=${factor} from=${0} to=${1} step=${0.25} set=${setFactor} />
    </div>
    <${ProblemBox} problem=${done.problem} />
    <div class="equation scroll" tabIndex="0" role="group" aria-label="from input to output">
      <${Numbers} rows=${image} caption="input a" label="input of the block" edit=${(y, x, number) => setImage(changed(image, y, x, number))} />
      <span class="sign" aria-hidden="true">→</span>
      ${done.value && html`<${Numbers} rows=${done.value.output} caption=${on ? "relu(z + a)" : "relu(z)"} label="output of the block" />`}
    </div>
    <p class="say" role="status">${on
      ? factor === 0 ? "All weights are 0, and the block gives its input: it has learnt to do nothing." : "The block adds what its filter finds to what it got."
      : factor === 0 ? "Without the shortcut nothing is left of the input." : "Without the shortcut only what the filter finds goes on."}</p>
  <//>`;
}

function inception(width, narrow) {
  const wide = (size, filters) => [
    ...(narrow ? [{ type: "conv2d", filters: narrow, kernel_size: 1, activation: "relu" }] : []),
    { type: "conv2d", filters, kernel_size: size, padding: "same", activation: "relu" },
  ];
  return {
    input_shape: [28, 28, width],
    layers: [{
      type: "parallel", merge: "concatenate",
      branches: [
        [{ type: "conv2d", filters: 64, kernel_size: 1, activation: "relu" }],
        wide(3, 128),
        wide(5, 32),
        [{ type: "max_pool2d", pool_size: 3, stride: 1, padding: "same" }, { type: "conv2d", filters: 32, kernel_size: 1, activation: "relu" }],
      ],
    }],
  };
}

export function Inception() {
  const [width, setWidth] = useState(192);
  const [narrow, setNarrow] = useState(16);
  const done = useCall((signal) => Promise.all([inception(width, 0), inception(width, narrow)].map(
    (one) => post("v1/architectures/summary", one, { signal }))), [width, narrow]);
  const [plain, small] = done.value ?? [];
  return html`<${Section} id="inception" title="Inception: all sizes side by side, and what it costs">
    <p>Which filter is right, 1 × 1, 3 × 3, 5 × 5, or a pool? An inception block has them all and stacks what they make; the
      network learns which to use. That is dear, so 1 × 1 convolutions first make the input narrow.</p>
    <div class="controls">
      <${Slider} name="Channels of the input" at=${width} from=${32} to=${512} step=${32} set=${setWidth} />
      <${Slider} name="Narrowed to" at=${narrow} from=${4} to=${64} step=${4} set=${setNarrow} />
    </div>
    <${ProblemBox} problem=${done.problem} />
    ${small && html`<${Amounts} label="multiplications for one picture" format=${large} entries=${[
      { label: "as it is", amount: plain.totals.multiply_adds }, { label: "narrowed first", amount: small.totals.multiply_adds }]} />
      <p class="sum">both give ${small.output_shape.join(" × ")}; narrowed first, the block takes${" "}
        <b>${(plain.totals.multiply_adds / small.totals.multiply_adds).toFixed(1)}</b> times fewer multiplications</p>`}
  <//>`;
}
