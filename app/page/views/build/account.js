/** What the network comes to: numbers, hints, its diagram. */
import { blob } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { bytes, count, large, sentence, shape } from "../../lib/words.js";
import { LocalPicture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";

/** Layers with a hint that are named. */
const MOST_NAMED = 5;

/** Totals of a summary; `partial`: of the layers before a fault; `before`: of the network as it was before it. */
export function Totals({ summary, partial, before, choose }) {
  const { totals } = summary;
  const seen = summary.layers.findLast((one) => one.output_shape.length === 3);
  const rows = [
    ["Output", shape(summary.output_shape)],
    ["To learn", `${large(totals.parameters)} numbers`],
    ["Weights", bytes(totals.weight_bytes)],
    ["Multiplications a picture", large(totals.multiply_adds)],
    ["Memory to predict one", bytes(totals.activation_bytes)],
    [`Memory to train, ${totals.batch_size} at a time`, bytes(totals.training_bytes)],
    ["One number of the last map sees", seen ? `${seen.receptive_field.join(" × ")} pixels` : "–"],
  ];
  const general = summary.hints.filter((one) => one.node === null);
  const title = partial ? "Up to the fault" : before ? "What it came to, before the fault" : "What it comes to";
  const there = summary.hints.filter((one) => one.node !== null);
  // the card of the layer has the words
  const lead = (hint) => {
    choose(hint.pointer);
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector(".layer.open")?.scrollIntoView({ block: "nearest" })));
  };
  return html`<section class="card" aria-label=${title}>
    <h2>${title}</h2>
    <dl class="totals">${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="num">${value}</dd></div>`)}</dl>
    ${general.map((hint) => html`<p key=${hint.code} class="hint"><b>Hint:</b> ${hint.detail}. <span class="soft">${sentence(hint.fix)}</span></p>`)}
    ${there.length > 0 && !before && html`<p class="soft hints">${count(there.length, "hint")} at ${there.slice(0, MOST_NAMED).map((hint, at) => html`${at ? ", " : ""}<button
      type="button" class="plain" key=${`${hint.code}${hint.node}`} onClick=${() => lead(hint)}>${hint.node}</button>`)}${there.length > MOST_NAMED ? " and others" : ""}</p>`}
    ${summary.hints.length === 0 && !partial && !before && html`<p class="soft">Nothing in it looks like a mistake.</p>`}
  </section>`;
}

/** The diagram of a document, drawn when it is opened. */
export function Diagram({ document: network }) {
  const [open, setOpen] = useState(false);
  const drawn = useLoaded((signal) => open && blob("v1/architectures/diagram", { json: network, accept: "image/svg+xml", signal }), [open, JSON.stringify(network)]);
  return html`<details class="card" open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary>Diagram</summary>
    <${ProblemBox} problem=${drawn.problem} />
    <div class="scroll diagram" tabIndex="0" role="group" aria-label="diagram, can be scrolled">
      ${drawn.value && html`<${LocalPicture} file=${drawn.value} alt="the network as a diagram, layer below layer" />`}
    </div>
  </details>`;
}
