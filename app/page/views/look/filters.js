/** The filters of a node as pictures: what each channel of its output looks for in each channel of its input. */
import { blob, get } from "../../lib/api.js";
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { readNpz } from "../../lib/npz.js";
import { magnitude } from "../../lib/scale.js";
import { count, precise, shape as shapeWords } from "../../lib/words.js";
import { FeatureMap } from "../../parts/map.js";
import { ProblemBox } from "../../parts/problem.js";

const SHOWN = 16;
const INPUTS = 8;

/** `params` of the address: `filters`, a node that has some. */
export function Filters({ model, params, change }) {
  const path = `v1/models/${encodeURIComponent(model.id)}/filters`;
  const list = useLoaded((signal) => get(path, {}, { signal }).then((found) => found.data), [model.id]);
  const entry = list.value?.find((one) => one.node === params.filters) ?? list.value?.[0];
  const arrays = useLoaded(
    async (signal) => entry && {
      node: entry.node,
      arrays: await readNpz(await blob(path, { query: { node: entry.node }, accept: "application/x-npz", signal })),
    },
    [model.id, entry?.node],
  );
  const weight = arrays.value?.node === entry?.node ? arrays.value?.arrays[entry?.weight] : null;
  return html`<section class="card">
    <div class="row choices"><label class="field"><span>Node</span>
      <select value=${entry?.node ?? ""} onChange=${(event) => change({ filters: event.target.value })}>
        ${(list.value ?? []).map((one) => html`<option key=${one.node} value=${one.node}>${one.node}, ${shapeWords(one.shape)}</option>`)}
      </select></label></div>
    <${ProblemBox} problem=${list.problem ?? arrays.problem} again=${list.problem ? list.again : arrays.again} />
    ${entry && html`<p class="soft">${count(entry.filters, "filter")}, ${entry.axes.map((axis, at) => `${entry.shape[at]} ${axis}`).join(" × ")}. Orange is positive, blue negative, from ${precise(entry.statistics.minimum)} to ${precise(entry.statistics.maximum)}.</p>`}
    ${weight && (entry.axes.includes("height")
      ? html`<${Bank} key=${entry.node} entry=${entry} weight=${weight} bias=${arrays.value.arrays[`${entry.node}/bias`]} />`
      : html`<${Matrix} entry=${entry} weight=${weight} />`)}
    ${list.value?.length === 0 && html`<p>No node of this network has filters.</p>`}
  </section>`;
}

/** The picture of a filter for one channel of the input. */
function tile(weight, axes, filter, input) {
  const at = (axis) => axes.indexOf(axis);
  const out = at("out") >= 0 ? at("out") : at("channels");
  const within = at("in") >= 0 ? input * weight.strides[at("in")] : 0;
  return {
    height: weight.shape[at("height")], width: weight.shape[at("width")], data: weight.data,
    offset: filter * weight.strides[out] + within,
    rowStep: weight.strides[at("height")], columnStep: weight.strides[at("width")],
  };
}

function Bank({ entry, weight, bias }) {
  const [shown, setShown] = useState(SHOWN);
  useEffect(() => setShown(SHOWN), [entry.node]);
  const most = useMemo(() => Math.max(Math.abs(entry.statistics.minimum), Math.abs(entry.statistics.maximum)), [entry]);
  const inputs = entry.axes.includes("in") ? entry.shape[entry.axes.indexOf("in")] : 1;
  // room for the tiles of one filter, and what opens to more
  const wide = Math.max(130, Math.min(inputs, INPUTS) * 50 + (inputs > INPUTS ? 60 : 0));
  return html`<div class="bank" style=${{ gridTemplateColumns: `repeat(auto-fill, minmax(min(100%, ${wide}px), 1fr))` }}>
    ${Array.from({ length: Math.min(shown, entry.filters) }, (_, filter) => html`<${OneFilter} key=${filter} ...${{ entry, weight, filter, inputs, most }} bias=${bias?.data[filter]} />`)}
    ${shown < entry.filters && html`<button type="button" onClick=${() => setShown(shown + 4 * SHOWN)}>Show more filters, of ${entry.filters}</button>`}
  </div>`;
}

function OneFilter({ entry, weight, filter, inputs, most, bias }) {
  const [open, setOpen] = useState(false);
  const tiles = open ? inputs : Math.min(inputs, INPUTS);
  return html`<figure class="filter">
    <div class="maps">
      ${Array.from({ length: tiles }, (_, input) => html`<${FeatureMap} key=${input} rows=${tile(weight, entry.axes, filter, input)} most=${most} size=${44}
        alt=${`filter ${filter}, input channel ${input}`} />`)}
      ${inputs > INPUTS && html`<button type="button" class="plain more" aria-expanded=${open} onClick=${() => setOpen(!open)}
        aria-label=${open ? `Fewer inputs of filter ${filter}` : `All ${inputs} inputs of filter ${filter}`}>${open ? "fewer" : `+${inputs - INPUTS}`}</button>`}
    </div>
    <figcaption>K(${filter})${bias === undefined ? "" : `, bias ${precise(bias)}`}</figcaption>
  </figure>`;
}

/** The weights of a dense layer: a row for each input, a column for each output. */
function Matrix({ entry, weight }) {
  const [rows, columns] = weight.shape;
  const grid = { height: rows, width: columns, data: weight.data, offset: 0, rowStep: weight.strides[0], columnStep: weight.strides[1] };
  const each = Math.max(1, Math.min(16, Math.floor(900 / Math.max(rows, columns))));
  return html`<figure><div class="scroll matrix" tabIndex="0" role="group" aria-label="weights">
    <${FeatureMap} rows=${grid} most=${magnitude(grid)} size=${each * Math.max(rows, columns)} alt=${`the ${rows} × ${columns} weights of ${entry.node}`} /></div>
    <figcaption>${rows} inputs down, ${columns} outputs across</figcaption></figure>`;
}
