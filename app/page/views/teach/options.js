/** What can be asked for beyond the pictures, behind a fold; all of it may be left to the service. */
import { get } from "../../lib/api.js";
import { html } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { ProblemBox } from "../../parts/problem.js";
import { changed, lesson } from "./lesson.js";

/** The model whose network learns the classes where nothing else is asked for. */
const PRETRAINED = "mobilenet-v2-imagenet";
const NUMBERS = ["epochs", "batch_size", "seed"];

/** The fields of a training job that somebody has chosen. */
export function wanted() {
  const { network, train, augmentations, ...rest } = lesson.options;
  const body = {};
  if (network) Object.assign(body, { architecture: { preset: network }, defaults: "auto" });
  else if (train) Object.assign(body, { initial_weights: PRETRAINED, train });
  if (augmentations?.length) body.augmentations = augmentations;
  for (const name of NUMBERS) if (rest[name] !== undefined) body[name] = rest[name];
  return body;
}

function choose(name, value) {
  const { [name]: _, ...rest } = lesson.options;
  lesson.options = value === "" || value === undefined ? rest : { ...rest, [name]: value };
  changed();
}

/** The fields; `problem` is that of the last try, whose words are shown beside the field that they are about. */
export function Options({ problem }) {
  const catalog = useLoaded(
    (signal) => Promise.all(["presets", "augmentations"].map((one) => get(`v1/catalog/${one}`, {}, { signal }))), [],
  );
  if (catalog.problem) return html`<${ProblemBox} problem=${catalog.problem} again=${catalog.again} />`;
  if (!catalog.value) return html`<p class="soft">Asking the service what there is ...</p>`;
  const [presets, augmentations] = catalog.value.map((one) => one.data);
  const { options } = lesson;
  const network = presets.find((one) => one.name === options.network);
  return html`<div class="options">
    <label class="field wide"><span>Network</span>
      <select value=${options.network ?? ""} onChange=${(event) => choose("network", event.target.value)}>
        <option value="">Trained on a million photos already: quick, and needs few pictures</option>
        <optgroup label="From scratch: needs many pictures and more time">
          ${presets.map((one) => html`<option key=${one.name} value=${one.name}>${one.title}</option>`)}
        </optgroup>
      </select>
      ${network && html`<span>At least ${network.smallest_size.join(" × ")} pixels. Your own network: <a href=${link("build", { preset: network.name })}>Build</a></span>`}
    </label>
    ${!network && html`<label class="field wide"><span>What learns</span>
      <select value=${options.train ?? ""} onChange=${(event) => choose("train", event.target.value)}>
        <option value="">The last layer alone</option>
        <option value="all">The last layer, and then all others a little: minutes in place of seconds</option>
      </select>
    </label>`}
    <${NumberField} name="image_size" words="Size of pictures, pixels" problem=${problem} least=${8} />
    <${NumberField} name="epochs" words="Epochs: times through all pictures" problem=${problem} least=${1} />
    <${NumberField} name="batch_size" words="Pictures in a step (batch)" problem=${problem} least=${1} />
    <${NumberField} name="seed" words="Seed: the same one, the same model" problem=${problem} least=${0} />
    <fieldset class="wide"><legend>Vary the pictures (augmentation)</legend>
      <div class="choices">${augmentations.map((one) => html`<label key=${one.name} title=${one.title}>
        <input type="checkbox" checked=${has(one)} onChange=${() => toggle(one)} /> ${one.name.replaceAll("_", " ")}
      </label>`)}</div>
    </fieldset>
    <p class="soft wide">What is left open is chosen to fit the pictures; the job says what, and why.</p>
  </div>`;
}

const has = (one) => (lesson.options.augmentations ?? []).some((each) => each.type === one.name);

function toggle(one) {
  const others = (lesson.options.augmentations ?? []).filter((each) => each.type !== one.name);
  const now = has(one) ? others : [...others, one.example];
  choose("augmentations", now.length ? now : undefined);
}

function NumberField({ name, words, least, problem }) {
  const fault = problem?.errors?.find((one) => one.pointer === `/${name}` || one.parameter === name);
  return html`<label class="field"><span>${words}</span>
    <input type="number" min=${least} step="1" placeholder="chosen" value=${lesson.options[name] ?? ""} aria-invalid=${Boolean(fault)}
      onInput=${({ target }) => choose(name, target.value === "" ? "" : Number(target.value))} />
    ${fault && html`<span class="bad">${fault.detail}</span>`}
  </label>`;
}
