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

function total(rows) {
  return rows.flat(2).reduce((sum, one) => sum + one, 0);
}

/**
 * `trace` is a record of the service's traces; `channel` is the channel of its window that is shown; `names` may say
 * what window, filter and products are called.
 */
export function Arithmetic({ trace, channel = 0, names = {} }) {
  const { window: seen, inside, factors, products } = trace;
  const channels = channelsOf(seen);
  const part = { seen: channelOf(seen, channel), inside: channelOf(inside, channel), factors: channelOf(factors, channel), products: channelOf(products, channel) };
  const [height, width] = seen ? [part.seen.length, part.seen[0].length] : [0, 0];
  const outside = (y, x) => part.inside && !part.inside[y][x];
  const won = (y, x) => trace.winner && y === trace.winner[0] - (trace.begins?.[0] ?? 0) && x === trace.winner[1] - (trace.begins?.[1] ?? 0);
  return html`<div class="arithmetic">
    ${seen && html`<div class="equation scroll" tabIndex="0" role="group" aria-label="window, filter and products">
      <${Numbers} rows=${part.seen} most=${magnitude(seen)} padded=${outside} marked=${won}
        caption=${names.window ?? `window, ${height} × ${width}`} />
      ${factors && html`<span class="sign" aria-hidden="true">*</span>
        <${Numbers} rows=${part.factors} most=${magnitude(factors)} caption=${names.filter ?? "filter K"} />`}
      ${products && html`<span class="sign" aria-hidden="true">=</span>
        <${Numbers} rows=${part.products} most=${magnitude(products)} caption=${names.products ?? "products"} />`}
    </div>`}
    <p class="sum">
      ${products && channels > 1 && html`channel ${channel} comes to ${value(total(part.products))}; all ${channels} channels to ${value(trace.sum)}. `}
      ${products
        ? html`sum of ${products.flat(2).length} products ${value(trace.sum)} + bias ${value(trace.bias ?? 0)} = <b>${value(sumOf(trace))}</b>`
        : html`<b>${trace.expression}</b>`}
      ${trace.through && html`; then ${trace.through.expression}`}
    </p>
  </div>`;
}

function sumOf(trace) {
  return trace.sum + (trace.bias ?? 0);
}
