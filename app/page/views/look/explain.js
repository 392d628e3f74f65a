/** Which parts of the picture a score comes from, by one method or two beside each other. */
import { blob, get, pictureForm, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { count, precise } from "../../lib/words.js";
import { FeatureMap } from "../../parts/map.js";
import { LocalPicture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Progress } from "../../parts/progress.js";
import { Options } from "./options.js";

const NAMES = {
  gradient: "Gradient", input_x_gradient: "Input × gradient", integrated_gradients: "Integrated gradients",
  smooth_grad: "SmoothGrad", grad_cam: "Grad-CAM", occlusion: "Occlusion",
};
const NONE = {};

/** `params` of the address: `method`, `other` to compare with, `class`, and `options` of methods as JSON. */
export function Explanations({ model, file, prediction, params, change }) {
  const [opacity, setOpacity] = useState(0.8);
  const catalog = useLoaded((signal) => get("v1/catalog/explanations", {}, { signal }).then((found) => found.data), []);
  const seen = useLoaded(
    (signal) => blob(`v1/models/${encodeURIComponent(model.id)}/preprocess`, { method: "POST", body: pictureForm(file), accept: "image/png", signal }),
    [model.id, file],
  );
  const methods = catalog.value ?? [];
  const method = methods.find((one) => one.name === params.method) ?? methods.find((one) => one.name === "integrated_gradients") ?? methods[0];
  const other = methods.find((one) => one.name === params.other);
  // what is predicted comes a moment later, and nothing else is explained meanwhile
  const predicted = model.target === "values" ? model.classes[0] : (prediction?.label ?? prediction?.top[0]?.label);
  const wanted = model.classes.includes(params.class) ? params.class : predicted;
  const options = optionsOf(params.options);
  const setOptions = (name, values) => {
    const rest = { ...options, [name]: values };
    if (!Object.keys(values).length) delete rest[name];
    change({ options: Object.keys(rest).length ? JSON.stringify(rest) : null });
  };
  const choice = (label, chosen, set, none) => html`<label class="field"><span>${label}</span>
    <select value=${chosen?.name ?? ""} onChange=${(event) => set(event.target.value)}>
      ${none && html`<option value="">${none}</option>`}
      ${methods.map((one) => html`<option key=${one.name} value=${one.name}>${NAMES[one.name] ?? one.name}</option>`)}
    </select></label>`;
  return html`<section class="card">
    <${ProblemBox} problem=${catalog.problem ?? seen.problem} again=${catalog.problem ? catalog.again : seen.again} />
    <div class="row choices">
      <label class="field"><span>What speaks for</span>
        <select value=${wanted} onChange=${(event) => change({ class: event.target.value })}>
          ${model.classes.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select></label>
      ${choice("Method", method, (name) => change({ method: name }))}
      ${choice("Beside it", other, (name) => change({ other: name }), "nothing")}
      <label class="field"><span>How much of the map</span>
        <input type="range" min="0" max="1" step="0.05" value=${opacity} onInput=${(event) => setOpacity(event.target.valueAsNumber)} /></label>
    </div>
    <div class="row explained">
      ${wanted && [method, other].filter(Boolean).map((one, number) => html`<${Explained} key=${`${number}${one.name}`} model=${model} file=${file} method=${one}
        wanted=${wanted} seen=${seen.value} opacity=${opacity} options=${options[one.name] ?? NONE} setOptions=${(values) => setOptions(one.name, values)} />`)}
    </div>
  </section>`;
}

/** The options of methods in the address, by method; nothing of what cannot be read. */
function optionsOf(text) {
  try {
    return { ...JSON.parse(text ?? "{}") };
  } catch {
    return {};
  }
}

function Explained({ model, file, method, wanted, seen, opacity, options, setOptions }) {
  const [stopped, setStopped] = useState(false);
  const found = useLoaded(
    (signal) => (stopped ? Promise.resolve(null) : post(`v1/models/${encodeURIComponent(model.id)}/explain`, pictureForm(file), {
      query: { ...options, method: method.name, class: wanted, relative: model.target === "class" || null }, signal,
    })),
    [model.id, file, method.name, wanted, stopped, JSON.stringify(options)],
  );
  const [height, width] = model.input_shape;
  const scale = 280 / Math.max(height, width);
  const box = { width: `${width * scale}px`, height: `${height * scale}px` };
  const answer = found.problem ? null : found.value;
  return html`<article class="one">
    <h2>${NAMES[method.name] ?? method.name}</h2>
    <div class="overlay" style=${box}>
      ${seen && html`<${LocalPicture} file=${seen} alt="the picture as the model sees it" class="pixels" style=${box} />`}
      ${answer && html`<div class="laid" style=${{ opacity }}><${FeatureMap} rows=${answer.map} most=${reach(answer.map)} size=${280} over=${true}
        alt=${`What speaks for ${wanted}${answer.signed ? " and against it" : ""}, by ${method.name}`} /></div>`}
    </div>
    <div class="about">
      <p class="soft">${method.title}</p>
      <${ProblemBox} problem=${found.problem} again=${found.again} />
      ${found.busy && !stopped && html`<${Progress} share=${null} label="Explaining" note="The picture goes through the network many times …" stop=${() => setStopped(true)} />`}
      ${stopped && html`<p>Stopped. <button type="button" class="plain" onClick=${() => setStopped(false)}>Begin again</button></p>`}
      ${answer && !found.busy && html`<div class="say" role="status">
        <p>${answer.signed ? `Orange speaks for ${answer.class}, blue against it.` : `The stronger the orange, the more ${answer.class} hangs on it.`}</p>
        ${checks(answer).map((line) => html`<p key=${line}>${line}</p>`)}
      </div>
      <code class="formula">${method.formula}</code>`}
      <${Options} model=${model} file=${file} method=${method} options=${options} set=${setOptions} problem=${found.problem} />
    </div>
  </article>`;
}

/** How far the colours reach: a few numbers that are far above all others would leave nothing of these. */
function reach(map) {
  const found = map.flat().map(Math.abs).sort((one, other) => one - other);
  return found[Math.floor(0.995 * (found.length - 1))] || found.at(-1);
}

/** What must hold of a map, in words. */
function checks({ checks: found, score, relative, passes, node }) {
  const lines = [relative ? `Its score is ${precise(Math.abs(score))} ${score < 0 ? "below" : "above"} the mean of all classes.` : `Its score is ${precise(score)}.`];
  if (node) lines.push(`It weighs the maps of ${node}.`);
  if (found.sum !== undefined && found.score_difference !== undefined) {
    const apart = Math.abs(found.sum - found.score_difference);
    const close = apart <= 0.05 * Math.max(1, Math.abs(found.score_difference));
    lines.push(`The map sums to ${precise(found.sum)}; the score differs from that of an empty picture by ${precise(found.score_difference)}: ${close ? "they agree." : "they lie apart, so the map tells only a part of it."}`);
  }
  if (found.complete !== undefined) lines.push(found.complete ? `The sum is complete after ${found.steps} steps.` : `After ${found.steps} steps ${precise(found.residual)} of the score is still not shared out.`);
  if (found.class_activation_difference !== undefined) lines.push(`It differs from the class activation map by at most ${precise(found.class_activation_difference)}.`);
  lines.push(`It took ${count(passes.forward, "pass", "passes")} forward and ${passes.backward} back.`);
  return lines;
}
