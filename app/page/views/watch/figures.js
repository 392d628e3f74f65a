/** Figures of an evaluation: each class, how sure it may be, how far values are off. */
import { html } from "../../lib/html.js";
import { percent, precise } from "../../lib/words.js";

/** Each class or label; buttons choose the pictures of one. */
export function Classes({ classes, target, change }) {
  const labels = target === "labels";
  return html`<section class="card" aria-label=${labels ? "Each label" : "Each class"}><h2>${labels ? "Each label" : "Each class"}</h2>
    <p class="soft">Recall: of its pictures, how many were recognised. Precision: of what was taken for it, how much it was.</p>
    <div class="scroll" tabIndex="0" role="region" aria-label="Figures of each"><table class="list">
      <thead><tr><th>${labels ? "Label" : "Class"}</th><th class="num">Pictures</th><th class="num">Recall</th><th class="num">Precision</th><th class="num">F1</th><th>See</th></tr></thead>
      <tbody>${classes.map((one) => html`<tr key=${one.name}>
        <td class="name">${one.name}</td><td class="num">${one.images.toLocaleString("en")}</td>
        <td class="num">${percent(one.recall, 1)}</td><td class="num">${percent(one.precision, 1)}</td><td class="num">${percent(one.f1, 1)}</td>
        <td>${(labels ? [["missed", "missed"], ["invented", "invented"]] : [["label", "its pictures"], ["predicted", "taken for it"]]).map(([name, text]) => html`<button type="button" class="plain" key=${name}
          aria-label=${`${one.name}: ${text}`} onClick=${() => seen(change, { [name]: one.name })}>${text}</button>`)}</td>
      </tr>`)}</tbody>
    </table></div></section>`;
}

function seen(change, choice) {
  change(choice);
  document.querySelector(".behind")?.scrollIntoView({ block: "start" });
}

/** How sure the model is, and how often it is right then. */
export function Calibration({ bins, error }) {
  const step = bins.length > 1 ? bins[1].lowest - bins[0].lowest : 1;
  const used = bins.filter((one) => one.images);
  return html`<section class="card" aria-label="Can its probabilities be trusted?"><h2>Can its probabilities be trusted?</h2>
    <p class="soft">${error === null ? "" : `What it says and how often it is right then are ${percent(error, 1)} apart in the mean. `}Where both bars are equally long, it is as sure as it may be.</p>
    <div class="scroll" tabIndex="0" role="region" aria-label="Calibration"><table class="list calibration">
      <thead><tr><th>It says</th><th>How sure, how often right</th><th class="num">Sure</th><th class="num">Right</th><th class="num">Pictures</th></tr></thead>
      <tbody>${used.map((one) => html`<tr key=${one.lowest}>
        <td>${percent(one.lowest)} to ${percent(Math.min(1, one.lowest + step))}</td>
        <td><span class="pair" aria-hidden="true"><i class="sure" style=${{ width: percent(one.confidence, 1).replace(" ", "") }}></i><i class="right" style=${{ width: percent(one.accuracy, 1).replace(" ", "") }}></i></span></td>
        <td class="num sure">${percent(one.confidence, 1)}</td><td class="num right">${percent(one.accuracy, 1)}</td><td class="num">${one.images.toLocaleString("en")}</td>
      </tr>`)}</tbody>
    </table></div></section>`;
}

/** How far each value is off. */
export function Values({ values, errors, change }) {
  return html`<section class="card" aria-label="Each value"><h2>Each value</h2>
    <div class="scroll" tabIndex="0" role="region" aria-label="Figures of each"><table class="list">
      <thead><tr><th>Value</th><th class="num">Off in the mean</th><th class="num">Root of the mean square</th><th class="num">Too high by</th><th class="num">Variance explained</th><th>See</th></tr></thead>
      <tbody>${values.map((one) => html`<tr key=${one.name}><td class="name">${one.name}</td>
        <td class="num">${precise(one.mean_absolute_error)}</td><td class="num">${precise(one.root_mean_squared_error)}</td><td class="num">${precise(one.bias)}</td><td class="num">${explained(one.r2)}</td>
        <td><button type="button" class="plain" aria-label=${`${one.name}: furthest off`} onClick=${() => seen(change, { value: one.name })}>furthest off</button></td></tr>`)}</tbody>
    </table></div>
    ${Object.keys(errors).length > 0 && html`<p class="soft">Mean squared error: ${Object.entries(errors).map(([split, one]) => `${precise(one)} on ${split}`).join(", ")}.</p>`}
  </section>`;
}

/** "between 91.2 % and 94.0 %"; nothing without an interval. */
export function between(interval) {
  return interval ? `between ${percent(interval.low, 1)} and ${percent(interval.high, 1)}` : "";
}

/** How much of the variance of a value is explained; a model may be worse than always saying the mean. */
function explained(share) {
  return share !== null && share < 0 ? "none: worse than the mean" : percent(share, 1);
}
