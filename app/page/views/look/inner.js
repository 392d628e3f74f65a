/** What the nodes put out for a picture, or the gradients in them. */
import { html, useMemo } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { precise } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { insideOf } from "./inside.js";
import { Way } from "./way.js";

/** `params` of the address: `show` (score, loss), `class`, `each`, `node` and `at`. */
export function Inner({ model, file, params, change }) {
  const show = ["score", "loss"].includes(params.show) ? params.show : null;
  // of a class the service knows which one is predicted; of several values one has to be named
  const usual = model.target === "values" ? model.classes[0] : null;
  const wanted = show && (model.classes.includes(params.class) ? params.class : usual);
  const inside = useMemo(
    () => insideOf(model, file, show ? { gradient: show, class: wanted } : {}), [model.id, file, show, wanted],
  );
  const plain = useMemo(() => (show ? insideOf(model, file, {}) : inside), [inside]);
  const account = useLoaded((signal) => inside.account(signal).then((found) => ({ found, inside })), [inside]);
  const each = params.each === "map";
  const position = (params.at ?? "").split(",").map(Number);
  const fits = (node) => node.shape.length === position.length && position.every((at, axis) => Number.isInteger(at) && at >= 0 && at < node.shape[axis]);
  const { found } = account.value ?? {};
  const chosen = found?.nodes.some((node) => node.name === params.node && fits(node)) ? { node: params.node, position } : null;
  const goTo = (node, at) => change({ node, at: at?.join(",") });
  const gradient = found?.gradient;
  return html`<section class="card">
    <div class="row choices">
      <label class="field"><span>Show</span>
        <select value=${show ?? ""} onChange=${(event) => change({ show: event.target.value, class: event.target.value ? params.class : null })}>
          <option value="">what each node puts out</option>
          <option value="score">the gradient of a score</option>
          ${model.target === "class" && html`<option value="loss">the gradient of the loss</option>`}
        </select></label>
      ${show && html`<label class="field"><span>${show === "loss" ? "If it were" : "Of"}</span>
        <select value=${wanted ?? gradient?.class ?? ""} onChange=${(event) => change({ class: event.target.value })}>
          ${model.classes.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select></label>`}
      <label class="field"><span>Colours</span>
        <select value=${each ? "map" : ""} onChange=${(event) => change({ each: event.target.value })}>
          <option value="">one scale for a node</option>
          <option value="map">a scale for each map</option>
        </select></label>
    </div>
    <p class="soft" role="status">${gradient ? gradientWords(gradient) : "Orange is positive, blue negative, paper zero."}</p>
    <${ProblemBox} problem=${account.problem} again=${account.again} />
    ${found
      ? html`<${Way} inside=${account.value.inside} plain=${plain} account=${found} chosen=${chosen} goTo=${goTo} each=${each} names=${model.classes} />`
      : account.busy && html`<div class="way empty"><p class="soft" role="status">The picture is on its way through the network …</p></div>`}
  </section>`;
}

function gradientWords({ of, class: name, value }) {
  return of === "loss"
    ? `The loss, were the picture ${name}, is ${precise(value)}. Orange: it grows with this number; blue: it falls.`
    : `The score of ${name} is ${precise(value)}. Orange: it grows with this number; blue: it falls.`;
}
