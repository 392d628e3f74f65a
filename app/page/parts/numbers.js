/** A small table of numbers, coloured by the diverging scale. */
import { html } from "../lib/html.js";
import { cell, magnitude } from "../lib/scale.js";
import { value } from "../lib/words.js";

/**
 * `rows`: (H, W); `most`: the magnitude of the strongest colour; `caption` below; `padded(y, x)`: is the cell outside
 * of the map?; `marked(y, x)`: is it the one in question?; `edit(y, x, number)` makes the cells fields.
 */
export function Numbers({ rows, most = magnitude(rows), caption, padded, marked, edit, label }) {
  return html`<figure>
    <table class="grid" aria-label=${label ?? caption}>
      <tbody>
        ${rows.map((row, y) => html`<tr>
          ${row.map((number, x) => html`<td class=${[padded?.(y, x) && "pad", marked?.(y, x) && "on"].filter(Boolean).join(" ")}
            style=${cell(number, most)} title=${number}>
            ${edit
              ? html`<input type="number" step="any" class="cell" value=${number} aria-label=${`row ${y}, column ${x}`}
                  onInput=${(event) => edit(y, x, Number(event.target.value))} />`
              : value(number)}
          </td>`)}
        </tr>`)}
      </tbody>
    </table>
    ${caption && html`<figcaption>${caption}</figcaption>`}
  </figure>`;
}
