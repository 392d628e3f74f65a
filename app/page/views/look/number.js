/** One number of a node: its map in large, what it was made of, and the map that it reads from, with its window. */
import { html, useEffect, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { magnitude, numberAt } from "../../lib/scale.js";
import { precise, shape as shapeWords } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Typed } from "../../parts/typed.js";
import { strongestPart, Working } from "./working.js";
import { mapOf, placeOf, positionAt, sizes } from "./inside.js";
import { LargeMap } from "./large.js";

/** The node whose arithmetic is shown for a number of `node`: of a layer's own activation, the layer. */
function traced(node, nodes) {
  const layer = node.name.replace(/\/activation$/, "");
  return nodes.some((one) => one.name === layer) ? layer : node.name;
}

/**
 * `inside`: of insideOf, and `plain` the same without gradients; `node` and all `nodes` of the account; `position` in it; `goTo(node, position)`;
 * `gradient`: what the numbers are the gradient of, or null; `names`: of the numbers of the last node.
 */
export function NumberOf({ inside, plain, node, nodes, position, goTo, gradient, names }) {
  const { shape } = node;
  const { vector, channels } = sizes(shape);
  const at = placeOf(shape, position);
  const array = useLoaded(() => inside.node(node.name), [inside, node.name]);
  const known = array.value?.shape.slice(1).join() === shape.join() ? array.value : null;
  const grid = known && mapOf(known, at.channel);
  const label = (what) => `Map ${vector ? "" : `${at.channel} `}of ${node.name}, ${what}`;
  const move = (row, column, channel = at.channel) => goTo(node.name, positionAt(shape, row, column, channel));
  const turn = channels > 1 ? (by) => move(at.row, at.column, Math.max(0, Math.min(channels - 1, at.channel + by))) : null;
  const said = vector
    ? `number ${position.at(-1)}${names ? `, ${names[position.at(-1)]}` : ""}`
    : `channel ${at.channel}, row ${at.row}, column ${at.column}`;
  const cameAbout = html`<${HowItCame} inside=${plain} node=${traced(node, nodes)} nodes=${nodes} position=${position} goTo=${goTo} />`;
  return html`<section class="number" aria-label=${`A number of ${node.name}`}>
    <header><h2>${node.name}, ${said}</h2>
      <button type="button" class="plain" aria-label="Close" onClick=${() => goTo(null, null)}>✕</button></header>
    <${ProblemBox} problem=${array.problem} again=${array.again} />
    <div class="row">
      <figure class="place">
        ${grid && html`<${LargeMap} grid=${grid} most=${magnitude(grid)} cursor=${at} move=${move} turn=${turn}
          label=${label(`${shapeWords(shape)}; arrow keys move, Page Up and Page Down change the channel`)} />`}
        <figcaption>${vector ? `${node.name}, ${shapeWords(shape)}` : `map ${at.channel} of ${channels}`}</figcaption>
        <${Fields} shape=${shape} at=${at} position=${position} move=${move} />
      </figure>
      <div class="grow" aria-live="polite">
        ${gradient
          ? html`<${Slope} gradient=${gradient} slope=${grid && numberAt(grid, at.row, at.column)} plain=${plain} node=${node} at=${at}>${cameAbout}<//>`
          : cameAbout}
      </div>
    </div>
  </section>`;
}

function Fields({ shape, at, position, move }) {
  const { vector, height, width, channels, numbers } = sizes(shape);
  const field = (label, number, count, set) => html`<label class="field"><span>${label}</span>
    <${Typed} type="number" min="0" max=${count - 1} value=${number}
      live set=${(text) => text && Number.isInteger(Number(text)) && set(Math.max(0, Math.min(count - 1, Number(text))))} /></label>`;
  if (vector) {
    return html`<div class="fields">${field("number", position.at(-1), numbers, (index) => move(Math.floor(index / width), index % width))}</div>`;
  }
  return html`<div class="fields">
    ${field("channel", at.channel, channels, (channel) => move(at.row, at.column, channel))}
    ${field("row", at.row, height, (row) => move(row, at.column))}
    ${field("column", at.column, width, (column) => move(at.row, column))}
  </div>`;
}

/** What a gradient says, beside the number itself; `children`: how that came about. */
function Slope({ gradient, slope, plain, node, at, children }) {
  const [open, setOpen] = useState(false);
  const array = useLoaded(() => plain.node(node.name), [plain, node.name]);
  const known = array.value?.shape.slice(1).join() === node.shape.join();
  const number = known ? numberAt(mapOf(array.value, at.channel), at.row, at.column) : null;
  const [letter, what] = gradient.of === "loss" ? ["L", `the loss, were it ${gradient.class},`] : ["S", `the score of ${gradient.class}`];
  return html`<p class="sum">a = ${precise(number)}; d${letter}/da = <b>${precise(slope)}</b></p>
    <p>${slope === 0
      ? `A little more or less here changes nothing of ${what} for now.`
      : `Were this number greater by a little, ${what} would ${slope > 0 ? "grow" : "fall"} by ${precise(Math.abs(slope ?? NaN))} times as much.`}</p>
    <${ProblemBox} problem=${array.problem} again=${array.again} />
    <details open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>How the number itself came about</summary>${open && children}</details>`;
}

function HowItCame({ inside, node, nodes, position, goTo }) {
  const trace = useLoaded(
    // while somebody drags over a map, only where they stop is asked for
    (signal) => new Promise((done) => setTimeout(done, 40)).then(() => (signal.aborted ? null : inside.trace(node, position, signal))),
    [inside, node, position.join()],
  );
  const found = trace.value;
  const [channel, setChannel] = useState(0);
  useEffect(() => {
    if (found) setChannel(strongestPart(found.trace));
  }, [found?.node, found?.trace.position.at(-1)]);
  if (node === "input") return html`<p>This is the picture as the first layer receives it: each pixel less the mean of the training pictures, divided by their deviation.</p>`;
  return html`
    <${ProblemBox} problem=${trace.problem} again=${trace.again} />
    ${found && html`<${Working} found=${found} channel=${channel} setChannel=${setChannel} goTo=${goTo} />
      <${ReadsFrom} inside=${inside} found=${found} channel=${channel} nodes=${nodes} goTo=${goTo} />`}`;
}

/** The map that a window lies in, with the window marked. */
function ReadsFrom({ inside, found, channel, nodes, goTo }) {
  const { trace } = found;
  const from = found.inputs_from[0];
  const source = nodes.find((one) => one.name === from);
  const known = source && trace.window && trace.begins?.length === 3 && !sizes(source.shape).vector;
  const array = useLoaded(() => (known ? inside.node(from) : Promise.resolve(null)), [inside, from, Boolean(known)]);
  if (!known || array.value?.shape.slice(1).join() !== source.shape.join()) return null;
  const [rows, columns] = [trace.window.length, trace.window[0].length];
  const first = trace.begins[2];
  const index = Math.max(0, Math.min(source.shape[2] - 1, first + (trace.factors ? channel * (trace.step?.[2] ?? 1) : 0)));
  const grid = mapOf(array.value, index);
  const [down, across] = [trace.step?.[0] ?? 1, trace.step?.[1] ?? 1];
  const marked = {
    row: trace.begins[0], column: trace.begins[1],
    height: (rows - 1) * down + 1, width: (columns - 1) * across + 1,
  };
  return html`<figure class="place">
    <${LargeMap} grid=${grid} most=${magnitude(grid)} marked=${marked} room=${140} label=${`The window in map ${index} of ${from}`} />
    <figcaption>reads map ${index} of <button type="button" class="plain" onClick=${() => goTo(from, positionAt(source.shape, marked.row + Math.floor(marked.height / 2), marked.column + Math.floor(marked.width / 2), index))}>${from}</button></figcaption>
  </figure>`;
}
