/** Section 1: filters find edges. A named filter on a picture. */
import { blob, get } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { Drop } from "../../parts/drop.js";
import { Numbers } from "../../parts/numbers.js";
import { LocalPicture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Sizes } from "./formula.js";
import { changed, Section, useCall } from "./shared.js";

/** The formula of a picture's sizes, in the words in which the service has that of a layer. */
function formula({ from, to }, f, p, s) {
  const side = (name) => `floor((${from[name]} + 2*${p} - ${f})/${s}) + 1 = ${to[name]}`;
  return { height: side("height"), width: side("width") };
}

export function Filters() {
  const filters = useLoaded((signal) => get("v1/catalog/filters", {}, { signal }), []);
  const [name, setName] = useState("vertical_edge");
  const [kernel, setKernel] = useState([[1, 0, -1], [1, 0, -1], [1, 0, -1]]);
  const [padding, setPadding] = useState(1);
  const [stride, setStride] = useState(1);
  const [file, setFile] = useState(null);
  useEffect(() => {
    const stopping = new AbortController();
    blob("v1/datasets/digits/images/0", { accept: "image/png", signal: stopping.signal }).then(
      (picture) => setFile((before) => before ?? picture), () => {});
    return () => stopping.abort();
  }, []);
  const filtered = useCall(async (signal) => {
    if (!file) return null;
    const form = new FormData();
    form.append("file", file, "picture.png");
    form.append("kernel", JSON.stringify(kernel));
    form.append("padding", String(padding));
    form.append("stride", String(stride));
    const picture = await blob("v1/operations/convolve", { method: "POST", body: form, accept: "image/png", signal });
    return { picture, from: await createImageBitmap(file), to: await createImageBitmap(picture) };
  }, [kernel, padding, stride, file && `${file.size} ${file.lastModified ?? ""}`]);
  const chosen = filters.value?.data.find((one) => one.name === name);
  const choose = (next) => {
    setName(next);
    take(filters.value.data.find((one) => one.name === next).kernel);
  };
  const take = (next) => {
    setKernel(next);
    setPadding((next.length - 1) / 2);
  };
  const resize = (size) => {
    setName("own");
    take(Array.from({ length: size }, () => Array(size).fill(Number((1 / size ** 2).toFixed(3)))));
  };
  const f = kernel.length;
  return html`<${Section} id="filters" title="1. A filter finds something in a picture">
    <p>A filter is a small square of numbers. It is laid on each place of the picture in turn: numbers that lie on each
      other are multiplied, and the products are added up. Where the picture looks like the filter, much comes of it.</p>
    <${ProblemBox} problem=${filters.problem ?? filtered.problem} again=${filters.again} />
    <div class="row">
      <div class="stack">
        <label class="field"><span>Filter</span>
          <select value=${name} onChange=${(event) => choose(event.target.value)}>
            ${filters.value?.data.map((one) => html`<option key=${one.name} value=${one.name}>${one.name.replaceAll("_", " ")}</option>`)}
            ${!chosen && html`<option value=${name}>your own</option>`}
          </select></label>
        <${Slider} name="Filter size" symbol="f" at=${f} from=${1} to=${7} step=${2} set=${resize} />
        <${Slider} name="Padding" symbol="p" at=${padding} from=${0} to=${8} set=${setPadding} />
        <${Slider} name="Stride" symbol="s" at=${stride} from=${1} to=${6} set=${setStride} />
        <${Numbers} rows=${kernel} caption=${`${kernel.length} × ${kernel.length}, change any number`} label="the filter's numbers"
          edit=${(y, x, number) => { setKernel(changed(kernel, y, x, number)); setName("own"); }} />
      </div>
      <figure>${file && html`<${LocalPicture} file=${file} class="pixels" width="224" height="224" alt="the picture" />`}
        <figcaption>the picture</figcaption></figure>
      <figure><div class="reserve">${filtered.value && html`<${LocalPicture} file=${filtered.value.picture} class="pixels" width="224" height="224"
        alt=${`the picture after the filter ${name.replaceAll("_", " ")}`} />`}</div>
        <figcaption>after the filter</figcaption></figure>
    </div>
    ${filtered.value ? html`<${Sizes} formula=${formula(filtered.value, f, padding, stride)} />` : html`<p class="sum"></p>`}
    <p class="soft">${chosen?.title ?? "A filter of your own. A network learns the numbers of its filters by itself."}</p>
    <${Drop} words="Try it on a picture of your own" multiple=${false} take=${([one]) => one && setFile(one.file)} />
  <//>`;
}
