/** The article's formulas with numbers in them, written one way. */
import { html } from "../../lib/html.js";

/** "floor((6 + 2*0 - 3)/1) + 1 = 4", as the service writes it, as the article does: ⌊(6 + 2 · 0 - 3) / 1 + 1⌋ = 4. */
function written(formula) {
  const [, inside, size] = /^floor\((.+)\) \+ 1 = (\d+)$/.exec(formula) ?? [];
  const spaced = (text) => text.replaceAll("*", " · ").replaceAll(")/", ") / ");
  return inside ? html`⌊${spaced(inside)} + 1⌋ = <b>${size}</b>` : spaced(formula);
}

/** The size of what a window makes; `formula`: {height, width} in the service's words. */
export function Sizes({ formula }) {
  return html`<p class="sum">n<sub>H</sub> = ${written(formula.height)}, n<sub>W</sub> = ${written(formula.width)}</p>`;
}
