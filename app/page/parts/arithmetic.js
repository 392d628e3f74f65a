/** The arithmetic of one number, as the article writes it: window, filter, products, and what they come to. */
import { html } from "../lib/html.js";
import { magnitude } from "../lib/scale.js";
import { value } from "../lib/words.js";
import { Numbers } from "./numbers.js";

/** One channel of an array (H, W) or (H, W, C). */
export function channelOf(rows, channel) {
  if (!rows || !Array.isArray(rows[0]?.[0])) return rows;
  return rows.map((row) => row.map((cell) => cell[channel]));
}

/** How many channels an array (H, W) or (H, W, C) has. */
export function channelsOf(rows) {
  return Array.isArray(rows?.[0]?.[0]) ? rows[0][0].length : 1;
}

/** What the numbers of one channel come to. */
export function total(rows, channel = 0) {
  return channelOf(rows, channel).flat().reduce((sum, one) => sum + one, 0);
}

/**
 * Window * filter = products, one channel of them. `trace` is a record of the service's traces; `names` may say what
 * window, filter and products are called.
 */
export function Equation({ trace, channel = 0, names = {} }) {
  const { window: seen, inside, factors, products, winner, begins, step } = trace;
  const part = { seen: channelOf(seen, channel), inside: channelOf(inside, channel), factors: channelOf(factors, channel), products: channelOf(products, channel) };
  const [height, width] = [part.seen.length, part.seen[0].length];
  const outside = (y, x) => part.inside && !part.inside[y][x];
  const at = (cell, axis) => (begins?.[axis] ?? 0) + cell * (step?.[axis] ?? 1);
  const won = (y, x) => winner && at(y, 0) === winner[0] && at(x, 1) === winner[1];
  return html`<div class="equation scroll" tabIndex="0" role="group" aria-label=${factors ? "window, filter and products" : "window"}>
    <${Numbers} rows=${part.seen} most=${magnitude(part.seen)} padded=${outside} marked=${won}
      caption=${names.window ?? `window, ${height} × ${width}`} />
    ${factors && html`<span class="sign" aria-hidden="true">*</span>
      <${Numbers} rows=${part.factors} most=${magnitude(factors)} caption=${names.filter ?? "filter K"} />`}
    ${products && html`<span class="sign" aria-hidden="true">=</span>
      <${Numbers} rows=${part.products} most=${magnitude(products)} caption=${names.products ?? "products"} />`}
  </div>`;
}

/**
 * "sum of 25 products 6.173 + bias -0.452 = 5.721; a = relu(5.721) = 5.721", or the formula of what has no products.
 * `through`: the same number after its activation, as traces of nodes have it.
 */
export function Sum({ trace, through, format = value }) {
  const psi = through && html`; a = ${through.type}(${format(trace.output)}) = <b>${format(through.trace.output)}</b>`;
  if (!trace.products || (trace.count ?? null) !== null) {
    const cut = trace.expression.lastIndexOf(" = ") + 3;
    const result = trace.expression.slice(cut);
    return html`${trace.expression.slice(0, cut)}${psi ? result : html`<b>${result}</b>`}${psi}`;
  }
  const count = trace.products.flat(2).length;
  const bias = (trace.bias ?? null) === null ? "" : ` + bias ${format(trace.bias)}`;
  const result = format(trace.sum + (trace.bias ?? 0));
  return html`sum of ${count} ${count === 1 ? "product" : "products"} ${format(trace.sum)}${bias} = ${psi ? result : html`<b>${result}</b>`}${psi}`;
}

/** Both: the equation of a `channel`, and what all of it comes to. */
export function Arithmetic({ trace, channel = 0, names }) {
  const channels = channelsOf(trace.window);
  return html`<div class="arithmetic">
    ${trace.window && html`<${Equation} trace=${trace} channel=${channel} names=${names} />`}
    <p class="sum">
      ${trace.products && channels > 1 && html`channel ${channel} comes to ${value(total(trace.products, channel))}; all ${channels} channels to ${value(trace.sum)}. `}
      <${Sum} trace=${trace} />
    </p>
  </div>`;
}
