/** A small table of numbers, coloured by the diverging scale. */
import { html } from "../lib/html.js";
import { cell, magnitude } from "../lib/scale.js";
import { value } from "../lib/words.js";
import { Typed } from "./typed.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function step(event, choose, y, x, rows) {
  const by = STEPS[event.key];
  if (!by) return;
  event.preventDefault();
  const [toY, toX] = [y + by[0], x + by[1]];
  if (rows[toY]?.[toX] === undefined) return;
  choose(toY, toX);
  event.target.closest("tbody").rows[toY].cells[toX].firstElementChild.focus();
}

// one cell of the table is reached by Tab: the marked one, or the first
function tabbed(marked, y, x) {
  return marked ? marked(y, x) : y === 0 && x === 0;
}

/**
 * `rows`: (H, W); `most`: the magnitude of the strongest colour; `caption` below; `padded(y, x)`: is the cell outside
 * of the map?; `marked(y, x)`: is it the one in question?; `edit(y, x, number)` makes the cells fields; `choose(y, x)`
 * makes them buttons, among which arrow keys go, too.
 */
export function Numbers({ rows, most = magnitude(rows), caption, padded, marked, edit, choose, label }) {
  return html`<figure>
    <table class="grid" aria-label=${label ?? caption}>
      <tbody>
        ${rows.map((row, y) => html`<tr>
          ${row.map((number, x) => html`<td class=${[padded?.(y, x) && "pad", marked?.(y, x) && "on"].filter(Boolean).join(" ")}
            style=${cell(number, most)} title=${number}>
            ${edit
              ? html`<${Typed} type="number" step="any" class="cell" value=${number} aria-label=${`row ${y}, column ${x}`}
                  live set=${(text) => text && edit(y, x, Number(text))} />`
              : choose
                ? html`<button type="button" class="cell" tabIndex=${tabbed(marked, y, x) ? 0 : -1} aria-pressed=${Boolean(marked?.(y, x))}
                    aria-label=${`row ${y}, column ${x}: ${value(number)}`} onClick=${() => choose(y, x)}
                    onKeyDown=${(event) => step(event, choose, y, x, rows)}>${value(number)}</button>`
                : value(number)}
          </td>`)}
        </tr>`)}
      </tbody>
    </table>
    ${caption && html`<figcaption>${caption}</figcaption>`}
  </figure>`;
}
