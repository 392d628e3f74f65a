/** One number of a node: its map in large, what it was made of, and the map that it reads from, with its window. */
import { html, useEffect, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { magnitude, numberAt } from "../../lib/scale.js";
import { shape as shapeWords } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Typed } from "../../parts/typed.js";
import { mapOf, placeOf, positionAt, settled, sizes } from "./inside.js";
import { LargeMap } from "./large.js";
import { Place } from "./place.js";
import { Slope } from "./slope.js";
import { strongestPart, Working } from "./working.js";

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
          ? html`<${Slope} gradient=${gradient} slope=${grid && numberAt(grid, at.row, at.column)} inside=${inside} plain=${plain} node=${node} nodes=${nodes} at=${at}
              position=${position} goTo=${goTo}>${cameAbout}<//>`
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

function HowItCame({ inside, node, nodes, position, goTo }) {
  const trace = useLoaded((signal) => settled(() => inside.trace(node, position, signal), signal), [inside, node, position.join()]);
  const found = trace.value;
  const [channel, setChannel] = useState(0);
  useEffect(() => {
    if (found) setChannel(strongestPart(found.trace));
  }, [found?.node, found?.trace.position.at(-1)]);
  if (node === "input") return html`<p>This is the picture as the first layer receives it: each pixel less the mean of the training pictures, divided by their deviation.</p>`;
  return html`
    <${ProblemBox} problem=${trace.problem} again=${trace.again} />
    ${found && html`<${Working} found=${found} channel=${channel} setChannel=${setChannel} goTo=${goTo} />
      <${Place} inside=${inside} trace=${found.trace} name=${found.inputs_from[0]} verb="reads" channel=${channel} nodes=${nodes} goTo=${goTo} />`}`;
}
