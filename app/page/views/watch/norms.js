/** How long the gradients and the weights of each node were in the epochs of a run: who hardly learns, and who runs away. */
import { get } from "../../lib/api.js";
import { html, useMemo, useState } from "../../lib/html.js";
import { SELDOM } from "../../lib/news.js";
import { count } from "../../lib/words.js";
import { Curve } from "../../parts/curve.js";
import { ProblemBox } from "../../parts/problem.js";
import { useLive } from "./live.js";

const FIGURES = { gradient: "Gradient", largest_gradient: "Largest gradient", weight: "Weights" };
const COLOURS = ["--accent", "--warm", "--good", "--ink"];
/** Nodes that have a colour of their own. */
const NAMED = 8;
const length = (one) => (one === 0 || (one >= 0.01 && one < 1000) ? String(Number(one.toPrecision(2))) : one.toExponential(1).replace(".0e", "e"));

/** `path` of a training job; its norms are asked for when somebody wants to see them. */
export function Norms({ path, id }) {
  const [open, setOpen] = useState(false);
  return html`<section class="card" aria-label="How each layer learns"><details onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>How each layer learns</summary>
    ${open && html`<${Inside} path=${path} id=${id} />`}
  </details></section>`;
}

function Inside({ path, id }) {
  const [figure, setFigure] = useState("gradient");
  const loaded = useLive((signal) => get(`${path}/norms`, {}, { signal }), [path], ({ event, data }) => event === "epoch" && data.job_id === id && SELDOM);
  const found = loaded.value;
  const lines = useMemo(() => (found ? found.nodes.map((node, at) => ({ label: node.name, values: node[figure].map((one) => one || null), ...look(node.name, at, found) })) : []), [found, figure]);
  if (!found) return html`<${ProblemBox} problem=${loaded.problem} again=${loaded.again} />${loaded.busy && html`<p role="status">Asking</p>`}`;
  if (!found.epochs.length) return html`<p class="soft">Nothing was measured: it is from the end of the first epoch on.</p>`;
  return html`<div class="stack">
    <div class="say" role="status">${words(found).map((text) => html`<p key=${text}>${text}</p>`)}</div>
    <label class="field figure"><span>Length of</span><select value=${figure} onChange=${(event) => setFigure(event.target.value)}>
      ${Object.entries(FIGURES).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}
    </select></label>
    <${Curve} x=${found.epochs} lines=${lines} height=${240} logarithmic=${true} legend=${lines.length <= NAMED} format=${length}
      label=${`${FIGURES[figure]} of ${count(lines.length, "layer")} after ${count(found.epochs.at(-1), "epoch")}; the numbers are in the table`} />
    <div class="scroll" tabIndex="0" role="region" aria-label="Lengths after the last epoch"><table class="list">
      <thead><tr><th>Layer</th><th class="num">Gradient</th><th class="num">Largest gradient</th><th class="num">Weights</th><th>What it means</th></tr></thead>
      <tbody>${found.nodes.map((node) => html`<tr key=${node.name}><td class="name">${node.name}</td>
        ${Object.keys(FIGURES).map((name) => html`<td class="num" key=${name}>${node[name].at(-1) === null ? "–" : length(node[name].at(-1))}</td>`)}
        <td>${verdict(node.name, found)}</td></tr>`)}</tbody>
    </table></div>
    <${ProblemBox} problem=${loaded.problem} again=${loaded.again} />
  </div>`;
}

/** The colour of a node's line: strong where something is to be said of it. */
function look(name, at, { nodes, vanishing, exploding }) {
  if (exploding.includes(name)) return { token: "--bad" };
  if (vanishing.includes(name)) return { token: "--bad", dash: [4, 4] };
  if (nodes.length > NAMED) return { token: "--soft" };
  return { token: COLOURS[at % COLOURS.length], dash: at >= COLOURS.length ? [5, 4] : undefined };
}

function verdict(name, { vanishing, exploding }) {
  return exploding.includes(name) ? "runs away" : vanishing.includes(name) ? "hardly learns" : "";
}

function words({ vanishing, exploding }) {
  const said = [];
  if (vanishing.length) said.push(`${listed(vanishing)} hardly ${vanishing.length === 1 ? "learns" : "learn"}: of the longest gradient less than a thousandth arrives there. Batch normalisation, relu in place of sigmoid, or residual blocks let more through.`);
  if (exploding.length) said.push(`The gradient of ${listed(exploding)} grows beyond all measure: a smaller learning rate or a limit to gradients would hold it.`);
  if (!said.length) said.push("Every layer gets a gradient that it can learn from.");
  return said;
}

function listed(names) {
  return names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");
}
