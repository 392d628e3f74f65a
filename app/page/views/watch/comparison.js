/** Two models judged by the same pictures. */
import { post } from "../../lib/api.js";
import { html } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { count, percent } from "../../lib/words.js";
import { Bars } from "../../parts/bars.js";
import { ProblemBox } from "../../parts/problem.js";
import { Said } from "../../parts/said.js";
import { between } from "./figures.js";
import { namesOf } from "./kinds.js";
import { Judged, Pictures, verdict } from "./pictures.js";
import { Opened } from "./shared.js";

/** `id`: the ids of both evaluations, with a comma between. */
export function Comparison({ id }) {
  const loaded = useLoaded(async (signal) => {
    const found = await post("v1/evaluations/compare", { evaluations: id.split(",") }, { signal });
    const names = await namesOf(found.evaluations, signal);
    // the service names models by their ids, which nobody remembers
    const words = found.words.map((text) => found.evaluations.reduce((said, { model_id: model }) => said.replaceAll(`\`${model}\``, `\`${names[model]}\``), text));
    return { found, words, names: found.evaluations.map((one) => names[one.model_id]) };
  }, [id]);
  const { found, words, names } = loaded.value ?? {};
  return html`<${Opened} tab="evaluations" list="Evaluations" title=${names ? `${names[0]} and ${names[1]}` : "Two models"} />
    <${ProblemBox} problem=${loaded.problem} again=${loaded.again} />
    ${found && html`<div class="stack">
      <section class="card" aria-label="Which is better?"><h2>Which is better?</h2>
        <div class="say">${words.map((one, at) => html`<p key=${at}><${Said} text=${one} /></p>`)}</div>
        <${Bars} digits=${1} label="share of pictures that are right" entries=${found.evaluations.map((one, at) => ({ label: names[at], share: one.accuracy ?? 0 }))} />
        <ul>${found.evaluations.map((one, at) => html`<li key=${one.id}><a href=${link("watch", { evaluation: one.id })}>${names[at]}</a>:
          ${` right about ${percent(one.accuracy, 1)}${one.interval ? `; of very many such pictures ${between(one.interval)}` : ""}`}</li>`)}
          <li>Both are right about ${count(found.both_right, "picture")}, and both wrong about ${found.both_wrong.toLocaleString("en")}.</li>
          ${found.left_out > 0 && html`<li>${count(found.left_out, "picture")} left out: one of the two has not seen them, or they were corrected between.</li>`}</ul>
      </section>
      ${[found.only_first, found.only_second].map((pictures, at) => html`<section class="card" key=${at} aria-label=${`Only ${names[at]} is right`}>
        <h2>Only ${names[at]} is right</h2>
        ${pictures.length
          ? html`<${Pictures} label=${`Pictures that only ${names[at]} is right about`} pictures=${pictures.map((one) => ({ ...one, wrong: one.predictions[1 - at] }))}
              words=${(one) => verdict(one.wrong)} open=${(one) => html`<${Judged} one=${{ ...one.wrong, image_url: one.image_url }} dataset=${found.dataset} model=${found.evaluations[1 - at].model_id} />`} />`
          : html`<p class="soft">There is no such picture.</p>`}
      </section>`)}
    </div>`}`;
}
