/** How a number of a node came about: the equation of a window, the strongest terms, or what was read one by one. */
import { html } from "../../lib/html.js";
import { precise, value } from "../../lib/words.js";
import { channelsOf, Equation, Sum, total } from "../../parts/arithmetic.js";
import { Typed } from "../../parts/typed.js";

const TERMS = 10;
/** Numbers along a side of a window that are written; larger windows are not. */
const WRITTEN = 16;

/** What each input channel of a convolution's window gives to the sum; one part of a vector. */
function parts(trace) {
  if (!trace.products) return [];
  if (!Array.isArray(trace.products[0])) return [trace.products.reduce((sum, one) => sum + one, 0)];
  return Array.from({ length: channelsOf(trace.products) }, (_, channel) => total(trace.products, channel));
}

/** The number of the channel that gives most to the sum, for or against. */
export function strongestPart(trace) {
  const sizes = parts(trace).map(Math.abs);
  return Math.max(0, sizes.indexOf(Math.max(...sizes)));
}

const spatial = (window) => Array.isArray(window?.[0]) && window.length * window[0].length > 1;

/**
 * `found`: one of the answer of `POST .../trace`; `channel` of the window and `setChannel`; `goTo(node, position)` shows
 * another number.
 */
export function Working({ found, channel, setChannel, goTo }) {
  const { trace } = found;
  return html`<div class="parts">
    <${Products} trace=${trace} channel=${channel} setChannel=${setChannel} from=${found.inputs_from[0]} goTo=${goTo} words=${FORWARD} />
    ${trace.mean !== null && html`<${Normal} trace=${trace} />`}
    ${trace.sources.length > 0 && html`<ul class="sources">
      ${trace.sources.map((source) => html`<li key=${`${source.input}/${source.position}`}>
        <button type="button" class="plain" onClick=${() => goTo(found.inputs_from[source.input], source.position)}>
          ${found.inputs_from[source.input]} [${source.position.join(", ")}]</button> = <span class="num">${precise(source.value)}</span>
      </li>`)}
    </ul>`}
    <p class="sum"><${Sum} trace=${trace} through=${found.through} format=${precise} /></p>
    ${found.on_the_way.length > 0 && html`<details>
      <summary>The numbers before it in the same block</summary>
      ${found.on_the_way.map((before) => html`<div key=${`${before.node}${before.trace.position}`} class="before">
        <button type="button" class="plain" onClick=${() => goTo(before.node, before.trace.position)}>
          ${before.node} [${before.trace.position.join(", ")}]</button>
        <span class="sum">${before.trace.expression}</span>
      </div>`)}
    </details>`}
  </div>`;
}

/** What the parts of a sum are called on the way through; `filter(trace, channel)` and `window(from)`. */
const FORWARD = {
  channel: "Input channel", window: (from) => `window of ${from}`, filter: (trace) => `filter K(${trace.position.at(-1)})`, number: "Input", factor: "Weight",
};

/** What was read together, the factors and the products: the equation of a window, or the strongest terms. */
export function Products({ trace, ...rest }) {
  if (spatial(trace.window)) return html`<${Window} trace=${trace} ...${rest} />`;
  return trace.factors && html`<${Terms} trace=${trace} ...${rest} />`;
}

/** The window of a channel; of numbers that are read together without a filter the first. */
function Window({ trace, channel, setChannel, from, words }) {
  const given = parts(trace);
  const at = Math.min(channel, Math.max(0, given.length - 1));
  const [rows, columns] = [trace.window.length, trace.window[0].length];
  const first = trace.begins?.[2] ?? 0;
  const set = (text) => text && Number.isInteger(Number(text)) && setChannel(Math.max(0, Math.min(given.length - 1, Number(text) - first)));
  const won = trace.winner && `; the largest is in row ${trace.winner[0]}, column ${trace.winner[1]}`;
  const names = {
    window: `${words.window(from)}${given.length > 1 ? `, channel ${first + at}` : ""}, ${rows} × ${columns}${won ?? ""}`,
    filter: words.filter(trace, first + at),
  };
  return html`
    ${given.length > 1 && html`<div class="row channels">
      <label class="field"><span>${words.channel}, of ${given.length}</span>
        <${Typed} type="number" min=${first} max=${first + given.length - 1} value=${first + at} live set=${set} /></label>
      <p class="soft">It gives <span class="num">${precise(given[at])}</span> of the sum <span class="num">${precise(trace.sum)}</span>.</p>
    </div>`}
    ${Math.max(rows, columns) <= WRITTEN && html`<${Equation} trace=${trace} channel=${at} names=${names} />`}`;
}

/** Of a dense layer, or a convolution of one cell: the strongest terms of the sum. */
function Terms({ trace, from, goTo, words }) {
  const [window, factors, products] = [trace.window, trace.factors, trace.products].map((one) => one.flat(2));
  const order = [...products.keys()].sort((one, other) => Math.abs(products[other]) - Math.abs(products[one]));
  const shown = order.slice(0, TERMS);
  const rest = order.slice(TERMS).reduce((sum, index) => sum + products[index], 0);
  const begins = trace.begins;
  const position = (index) => (begins.length === 3 ? [begins[0], begins[1], begins[2] + index * trace.step[2]] : [begins[0] + index]);
  return html`<div class="scroll" tabIndex="0" role="group" aria-label="terms of the sum"><table>
    <thead><tr><th>Number of ${from}</th><th class="num">${words.number}</th><th class="num">${words.factor}</th><th class="num">Product</th></tr></thead>
    <tbody>
      ${shown.map((index) => html`<tr key=${index}>
        <td><button type="button" class="plain" onClick=${() => goTo(from, position(index))}>[${position(index).join(", ")}]</button></td>
        <td class="num">${precise(window[index])}</td><td class="num">${precise(factors[index])}</td><td class="num">${precise(products[index])}</td>
      </tr>`)}
      ${order.length > TERMS && html`<tr><td>the other ${(order.length - TERMS).toLocaleString("en")}</td><td></td><td></td><td class="num">${precise(rest)}</td></tr>`}
    </tbody>
  </table></div>`;
}

function Normal({ trace }) {
  const said = [
    ["mean", trace.mean], ["variance", trace.variance], ["epsilon", trace.epsilon], ["scale", trace.scale], ["shift", trace.shift],
  ].filter(([, number]) => number !== null);
  return html`<dl class="facts">
    ${said.map(([name, number]) => html`<div key=${name}><dt>${name}</dt><dd class="num">${name === "epsilon" ? value(number) : precise(number)}</dd></div>`)}
    ${trace.count !== null && html`<div><dt>taken over</dt><dd class="num">${trace.count.toLocaleString("en")} numbers</dd></div>`}
  </dl>`;
}
