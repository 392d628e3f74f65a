/** The confusion matrix: each cell opens the pictures behind it. Right ones are blue, wrong ones orange. */
import { get } from "../../lib/api.js";
import { html } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { cell } from "../../lib/scale.js";
import { count } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";

const MOST = 25;
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** `path` of the evaluation; `chosen`: {label, predicted}; `choose(label, predicted)`. */
export function Matrix({ path, chosen, choose }) {
  const loaded = useLoaded((signal) => get(`${path}/confusion-matrix`, {}, { signal }), [path]);
  const { classes, matrix } = loaded.value ?? {};
  const shown = classes ? mostConfused(classes, matrix) : [];
  const at = [shown.findIndex((one) => classes[one] === chosen.label), shown.findIndex((one) => classes[one] === chosen.predicted)];
  const [row, column] = at.includes(-1) ? [0, 0] : at;
  const step = (event, y, x) => {
    const by = STEPS[event.key];
    const next = by && event.currentTarget.closest("tbody").rows[y + by[0]]?.querySelectorAll("button")[x + by[1]];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  return html`<section class="card" aria-label="What was taken for what">
    <h2>What was taken for what</h2>
    <p class="soft">A row for each class as it is, a column for what it was taken for. Choose a cell to see its pictures.${classes?.length > MOST ? ` Of ${classes.length} classes, the ${MOST} with the most mistakes.` : ""}</p>
    <${ProblemBox} problem=${loaded.problem} again=${loaded.again} />
    ${classes && html`<div class="scroll"><table class="grid matrix" aria-label="Confusion matrix">
      <thead><tr><td></td>${shown.map((one) => html`<th scope="col" key=${one} title=${classes[one]}><span>${classes[one]}</span></th>`)}</tr></thead>
      <tbody>${shown.map((is, y) => {
        const all = matrix[is].reduce((sum, one) => sum + one, 0);
        return html`<tr key=${is}><th scope="row" title=${classes[is]}><span>${classes[is]}</span></th>
          ${shown.map((taken, x) => {
            const number = matrix[is][taken];
            const on = y === at[0] && x === at[1];
            const said = is === taken ? `${count(number, "picture")} of ${classes[is]}, recognised` : `${count(number, "picture")} of ${classes[is]}, taken for ${classes[taken]}`;
            // a few mistakes matter: they are as strong as half of the row
            const strength = is === taken ? -number : number && Math.max(number * 2, all / 8);
            return html`<td key=${taken} class=${on ? "on" : ""} style=${cell(strength, all || 1)}>
              <button type="button" class="cell" tabIndex=${y === row && x === column ? 0 : -1} aria-pressed=${on} aria-label=${said} title=${said}
                onClick=${() => choose(classes[is], classes[taken])} onKeyDown=${(event) => step(event, y, x)}>${number || ""}</button></td>`;
          })}</tr>`;
      })}</tbody>
    </table></div>`}
  </section>`;
}

/** The places of the classes that are shown: all, or of very many those with the most mistakes, in their order. */
function mostConfused(classes, matrix) {
  const places = classes.map((_, at) => at);
  if (classes.length <= MOST) return places;
  const wrong = places.map((at) => matrix.reduce((sum, row, y) => sum + (y === at ? row.reduce((all, one) => all + one, 0) - row[at] : row[at]), 0));
  return places.toSorted((a, b) => wrong[b] - wrong[a]).slice(0, MOST).sort((a, b) => a - b);
}
