/** The pictures behind a figure: those of a cell of the matrix, or the worst mistakes. */
import { get } from "../../lib/api.js";
import { html } from "../../lib/html.js";
import { ProblemBox } from "../../parts/problem.js";
import { usePages } from "./live.js";
import { Judged, Pictures } from "./pictures.js";

const PAGE = 24;

/** `chosen`: what narrows them; `change(changes)` makes it another choice. */
export function Behind({ one, path, target, chosen, change }) {
  const narrow = Object.entries(chosen).filter(([, text]) => text !== undefined);
  const query = { ...Object.fromEntries(narrow), order: "worst", ...(target !== "values" && !narrow.length && { wrong: true }) };
  const list = usePages((after, signal) => get(`${path}/predictions`, { ...query, limit: PAGE, after }, { signal }), [path, JSON.stringify(query)]);
  return html`<section class="card behind" aria-label="Pictures">
    <header><div role="status"><h2>${heading(chosen, target)}</h2></div>
      ${narrow.length > 0 && html`<button type="button" class="plain" onClick=${() => change({})}>All mistakes</button>`}</header>
    <p class="soft">Open a picture to say what it is, should not the model be wrong but the data set.</p>
    <${Pictures} pictures=${list.rows} label="Pictures" open=${(picture) => html`<${Judged} one=${picture} dataset=${one.dataset} model=${one.model_id} changed=${() => change(chosen)} />`} />
    ${!list.rows.length && !list.busy && !list.problem && html`<p>${narrow.length ? "There are none." : "It is wrong about none of the pictures."}</p>`}
    <${ProblemBox} problem=${list.problem} again=${list.again} />
    ${list.more && html`<button type="button" class="plain" onClick=${list.more}>Show more</button>`}
  </section>`;
}

function heading({ label, predicted, missed, invented, value }, target) {
  if (label && predicted) return label === predicted ? `${label}, rightly recognised` : `${label}, taken for ${predicted}`;
  if (label) return `Pictures of ${label}`;
  if (predicted) return target === "labels" ? `Where ${predicted} was predicted` : `Taken for ${predicted}`;
  if (missed) return `Where ${missed} was missed`;
  if (invented) return `Where ${invented} was invented`;
  if (value) return `Where ${value} is furthest off`;
  return target === "values" ? "What it is furthest off about" : "The worst mistakes";
}
