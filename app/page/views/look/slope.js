/** What a gradient says of a number, and how it came about: by the chain rule, from the nodes that read the number. */
import { html, useEffect, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { numberAt } from "../../lib/scale.js";
import { count, precise } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { mapOf, settled } from "./inside.js";
import { Place } from "./place.js";
import { Products, strongestPart } from "./working.js";

/** `slope`: the gradient; `inside` of the gradients, `plain` of the numbers; `children`: how the number itself came about. */
export function Slope({ gradient, slope, inside, plain, node, nodes, at, position, goTo, children }) {
  const [open, setOpen] = useState(false);
  const array = useLoaded(() => plain.node(node.name), [plain, node.name]);
  const known = array.value?.shape.slice(1).join() === node.shape.join();
  const number = known ? numberAt(mapOf(array.value, at.channel), at.row, at.column) : null;
  const [letter, what] = gradient.of === "loss" ? ["L", `the loss, were it ${gradient.class},`] : ["S", `the score of ${gradient.class}`];
  return html`<p class="sum">a = ${precise(number)}; d${letter}/da = <b>${precise(slope)}</b></p>
    <p>${slope === 0
      ? `A little more or less here changes nothing of ${what} for now.`
      : `Were this number greater by a little, ${what} would ${slope > 0 ? "grow" : "fall"} by ${precise(Math.abs(slope ?? NaN))} times as much.`}</p>
    <${Back} inside=${inside} node=${node} nodes=${nodes} position=${position} letter=${letter} what=${what} goTo=${goTo} />
    <${ProblemBox} problem=${array.problem} again=${array.again} />
    <details open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>How the number itself came about</summary>${open && children}</details>`;
}

/** The sum over the nodes that read the number. */
function Back({ inside, node, nodes, position, letter, what, goTo }) {
  const trace = useLoaded((signal) => settled(() => inside.back(node.name, position, signal), signal), [inside, node.name, position.join()]);
  const found = trace.value;
  if (!found) return html`<${ProblemBox} problem=${trace.problem} again=${trace.again} />`;
  const { readers } = found;
  const begins = node.name === nodes.at(-1).name;
  return html`<${ProblemBox} problem=${trace.problem} again=${trace.again} />
    ${readers.length === 0 && html`<p>${begins
      ? `Here the way back begins: this is by how much ${what} itself changes with the score.`
      : "No number further on reads this one, so it counts for nothing."}</p>`}
    ${readers.map((reader) => html`<${Reader} key=${`${reader.node}${reader.input}`} reader=${reader} inside=${inside} nodes=${nodes} letter=${letter} position=${position} goTo=${goTo} />`)}
    ${readers.length > 1 && html`<p class="sum">d${letter}/da = ${readers.map((one) => signed(one.sum)).join(" + ")} = <b>${precise(found.gradient)}</b>, ${count(readers.length, "node")} together</p>`}`;
}

function signed(number) {
  return number < 0 ? `(${precise(number)})` : precise(number);
}

/** What flows back from one node: the gradients there, times by how much its numbers grow with the one in question. */
function Reader({ reader, inside, nodes, letter, position, goTo }) {
  const trace = { ...reader, window: reader.gradients, factors: reader.derivatives, position, inside: null, winner: null };
  const [channel, setChannel] = useState(0);
  useEffect(() => setChannel(strongestPart(trace)), [reader.node, position.at(-1)]);
  const filters = reader.type.includes("conv");
  const words = {
    channel: filters ? "Filter" : "Channel", number: `d${letter}/dz there`, factor: reader.type === "dense" || filters ? "Weight" : "Derivative",
    window: (from) => `gradients in ${from}`,
    filter: (_, at) => (filters ? `filter K(${at}), as it meets this number` : "by how much each grows with this number"),
  };
  const products = reader.products.flat(2).length;
  return html`<div class="parts" role="group" aria-label=${`What flows back from ${reader.node}`}>
    <p>It is read by <b>${reader.node}</b>:</p>
    <${Products} trace=${trace} channel=${channel} setChannel=${setChannel} from=${reader.node} goTo=${goTo} words=${words} />
    <p class="sum">sum of ${count(products, "product")} = <b>${precise(reader.sum)}</b></p>
    <${Place} inside=${inside} trace=${trace} name=${reader.node} verb="flows back from" channel=${channel} nodes=${nodes} goTo=${goTo} />
  </div>`;
}
