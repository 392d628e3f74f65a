/** Section 2: the convolution product with its padding and stride, a number at a time; pooling the same way. */
import { post } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { magnitude } from "../../lib/scale.js";
import { Arithmetic } from "../../parts/arithmetic.js";
import { Numbers } from "../../parts/numbers.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Sizes } from "./formula.js";
import { changed, IMAGE, Section, useCall } from "./shared.js";

const KERNELS = {
  1: [[1]],
  3: [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
  5: [[1, 1, 0, -1, -1], [1, 1, 0, -1, -1], [1, 1, 0, -1, -1], [1, 1, 0, -1, -1], [1, 1, 0, -1, -1]],
};

/** The image with its padding around it, and which of its cells the window covers. */
function Input({ image, padding, window: covered, edit }) {
  const size = image.length + 2 * padding;
  const outside = (y, x) => y < padding || x < padding || y >= size - padding || x >= size - padding;
  const rows = Array.from({ length: size }, (_, y) =>
    Array.from({ length: size }, (_, x) => (outside(y, x) ? 0 : image[y - padding][x - padding])));
  const under = (y, x) => covered && y >= covered.y && y < covered.y + covered.size && x >= covered.x && x < covered.x + covered.size;
  return html`<${Numbers} rows=${rows} most=${magnitude(image)} padded=${outside} marked=${under} label="the image"
    caption=${`image, ${image.length} × ${image.length}${padding ? `, with zeros around it` : ""}`}
    edit=${(y, x, number) => outside(y, x) || edit(changed(image, y - padding, x - padding, number))} />`;
}

/** An image of numbers, what a layer makes of it, and how one number of that comes about. */
function Grids({ layer, type, weights, padding, stride, size, names, edit, image }) {
  const [at, setAt] = useState([0, 0]);
  const done = useCall(
    (signal) => post(`v1/operations/${type}`, { input: image, layer, ...(weights && { weights }), trace: true }, { signal }),
    [image, layer, weights, type]);
  const output = done.value?.output;
  const traces = done.value?.trace;
  useEffect(() => {
    if (output && (at[0] >= output.length || at[1] >= output[0].length)) setAt([0, 0]);
  }, [output]);
  const trace = traces?.find((one) => one.position[0] === at[0] && one.position[1] === at[1]);
  return html`
    <${ProblemBox} problem=${done.problem} />
    <div class="equation scroll" tabIndex="0" role="group" aria-label="from input to output">
      <${Input} image=${image} padding=${padding} edit=${edit} window=${{ y: at[0] * stride, x: at[1] * stride, size }} />
      <span class="sign" aria-hidden="true">→</span>
      ${output && html`<${Numbers} rows=${output} label="the output" caption=${`output, ${output.length} × ${output[0].length}; choose a number`}
        marked=${(y, x) => y === at[0] && x === at[1]} choose=${(y, x) => setAt([y, x])} />`}
    </div>
    ${done.value && html`<${Sizes} formula=${done.value.formula} />`}
    <div class="reserve-sum">${trace && html`<${Arithmetic} trace=${trace} names=${names} />`}</div>`;
}

export function Convolution() {
  const [image, setImage] = useState(IMAGE);
  const [f, setF] = useState(3);
  const [p, setP] = useState(0);
  const [s, setS] = useState(1);
  const [bias, setBias] = useState(0);
  const [psi, setPsi] = useState("");
  const [kernel, setKernel] = useState(KERNELS[3]);
  const layer = { filters: 1, kernel_size: f, padding: p, stride: s, ...(psi && { activation: psi }) };
  const words = [
    p === 0 && "Valid: no padding, the output is smaller.",
    p > 0 && 2 * p === f - 1 && s === 1 && "Same: p = (f - 1) / 2, the output is as large as the image.",
    f === 1 && "1 × 1: each number by itself.",
    s > 1 && `Every ${s === 2 ? "second" : "third"} place only: the output shrinks.`,
  ].filter(Boolean);
  return html`<${Section} id="convolution" title="2. The convolution product">
    <p>Padding p puts zeros around the image, so that its rim counts as much as its middle. Stride s is the step from one
      place of the window to the next. Change any number; choose a number of the output to see how it comes about.</p>
    <div class="controls">
      <${Slider} name="Filter size" symbol="f" at=${f} from=${1} to=${5} step=${2} set=${(size) => { setF(size); setKernel(KERNELS[size]); }} />
      <${Slider} name="Padding" symbol="p" at=${p} from=${0} to=${2} set=${setP} />
      <${Slider} name="Stride" symbol="s" at=${s} from=${1} to=${3} set=${setS} />
      <${Slider} name="Bias" symbol="b" at=${bias} from=${-30} to=${30} step=${5} set=${setBias} />
      <label class="field"><span>Activation ψ</span>
        <select value=${psi} onChange=${(event) => setPsi(event.target.value)}>
          <option value="">none</option><option value="relu">relu</option><option value="leaky_relu">leaky relu</option>
          <option value="sigmoid">sigmoid</option><option value="tanh">tanh</option>
        </select></label>
    </div>
    <p class="soft" role="status">${words.join(" ") || " "}</p>
    <div class="kernel"><${Numbers} rows=${kernel} label="the filter" caption=${`filter K, ${f} × ${f}`} edit=${(y, x, number) => setKernel(changed(kernel, y, x, number))} /></div>
    <${Grids} type="conv2d" layer=${layer} weights=${{ weight: kernel, bias }} image=${image} edit=${setImage} padding=${p} stride=${s} size=${f}
      names=${{ window: "window of the image", filter: "filter K" }} />
  <//>`;
}

export function Pooling() {
  const [image, setImage] = useState([[1, 3, 2, 1, 0, 2], [4, 6, 5, 2, 1, 1], [3, 1, 1, 0, 8, 3], [1, 2, 2, 4, 5, 7], [0, 1, 9, 3, 2, 2], [2, 2, 4, 1, 0, 6]]);
  const [f, setF] = useState(2);
  const [s, setS] = useState(2);
  const [type, setType] = useState("max_pool2d");
  return html`<${Section} id="pooling" title="Pooling">
    <p>A window without numbers of its own: of what lies under it only the maximum, or the average, goes on. Height and
      width shrink, the channels stay as many as they were, and there is nothing to learn.</p>
    <div class="controls">
      <${Slider} name="Window size" symbol="f" at=${f} from=${1} to=${4} set=${setF} />
      <${Slider} name="Stride" symbol="s" at=${s} from=${1} to=${3} set=${setS} />
      <label class="field"><span>Function φ</span>
        <select value=${type} onChange=${(event) => setType(event.target.value)}>
          <option value="max_pool2d">maximum</option><option value="average_pool2d">average</option>
        </select></label>
    </div>
    <${Grids} type=${type} layer=${{ pool_size: f, stride: s }} image=${image} edit=${setImage} padding=${0} stride=${s} size=${f} />
  <//>`;
}
