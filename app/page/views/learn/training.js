/** Section 4: how a network learns. Augmented pictures, and one step taken apart. */
import { get, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { Picture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Amounts, Section, useCall } from "./shared.js";

const FACTORS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];
const PICTURES = [0, 1, 2, 3, 4, 5, 6, 7];

export function Training() {
  const [rate, setRate] = useState(2);
  const [seed, setSeed] = useState(0);
  const step = useCall((signal) => post("v1/training-steps", {
    architecture: { preset: "lenet-5" }, weights: { seed }, dataset: "digits", indices: PICTURES,
    optimizer: { type: "sgd", learning_rate: FACTORS[rate], momentum: 0 },
  }, { signal }), [rate, seed]);
  const digits = useLoaded((signal) => get("v1/datasets/digits/images", { limit: 8 }, { signal }), []);
  const nodes = step.value?.nodes?.filter((one) => one.gradient_norm > 0) ?? [];
  return html`<${Section} id="training" title="Training: a step downhill">
    <p>The network begins with random numbers. It is shown some pictures whose class is known; the loss J says how far off its
      answers are. The gradient says for each number in which direction J grows, so each is moved a little the other way.
      That is one step; an epoch is as many as it takes to see all pictures.</p>
    <div class="thumbs eight">${digits.value && PICTURES.map((number) => html`<${Picture} key=${number} path=${`v1/datasets/digits/images/${number}`}
      alt=${`picture ${number} of the digits`} class="pixels" width="44" height="44" />`)}</div>
    <div class="controls">
      <${Slider} name="Learning rate" at=${rate} from=${0} to=${FACTORS.length - 1} set=${setRate} format=${(at) => String(FACTORS[at])} />
      <${Slider} name="Other first numbers" symbol="seed" at=${seed} from=${0} to=${9} set=${setSeed} />
    </div>
    <${ProblemBox} problem=${step.problem ?? digits.problem} again=${step.again} />
    ${step.value && html`
      <p class="say" role="status">${said(step.value)}</p>
      <h3>How long the gradient of each layer is</h3>
      <${Amounts} label="lengths of gradients" format=${(one) => one.toPrecision(2)} entries=${nodes.map((one) => ({ label: one.name, amount: one.gradient_norm }))} />`}
    <p><a href=${link("watch", { job: "job_example" })}>See a whole training in Watch</a></p>
  <//>`;
}

function said(step) {
  const [before, after] = [step.loss, step.loss_after];
  const words = `On these eight pictures the loss is ${before.toFixed(3)} before the step and ${after.toFixed(3)} after it.`;
  if (after > before) return `${words} The step was too long: it went past the valley. Take a lower learning rate.`;
  if (before - after < 0.02 * before) return `${words} A small step: it would take many of them.`;
  return `${words} It has learnt a little.`;
}
