/** Section 4, before training: more pictures out of those that there are, and the three parts of a data set. */
import { blob, get } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { LocalPicture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Section, useCall } from "./shared.js";

/** What the catalog gives as examples of the augmentations with these names. */
function examples(catalog, names) {
  return names.map((name) => catalog?.data.find((one) => one.name === name)?.example).filter(Boolean);
}

export function Augmentation() {
  const catalog = useLoaded((signal) => get("v1/catalog/augmentations", {}, { signal }), []);
  const digits = useLoaded((signal) => get("v1/datasets/digits", {}, { signal }), []);
  const [chosen, setChosen] = useState(["rotation"]);
  const [seed, setSeed] = useState(0);
  const sheet = useCall((signal) => catalog.value && blob("v1/datasets/digits/augmentation-preview", {
    json: { augmentations: examples(catalog.value, chosen), images: 4, variants: 6, seed }, accept: "image/png", signal,
  }), [examples(catalog.value, chosen), seed]);
  const toggle = (name, on) => setChosen(on ? [...chosen, name] : chosen.filter((one) => one !== name));
  const splits = digits.value?.splits;
  return html`<${Section} id="augmentation" title="4. Before training: more pictures out of few">
    <p>A cat that is mirrored, turned a little or somewhat darker is still a cat. In each epoch every picture is varied anew, so
      that the network learns what matters. The first column is the picture as it is.</p>
    <${ProblemBox} problem=${catalog.problem ?? sheet.problem} again=${catalog.again} />
    <fieldset class="choices"><legend class="soft">Augmentations</legend>
      ${catalog.value?.data.map((one) => html`<label key=${one.name}><input type="checkbox" checked=${chosen.includes(one.name)}
        onChange=${(event) => toggle(one.name, event.target.checked)} /> ${one.name.replaceAll("_", " ")}</label>`)}
    </fieldset>
    <div class="controls"><${Slider} name="Other draws" symbol="seed" at=${seed} from=${0} to=${20} set=${setSeed} /></div>
    <div class="sheet">${sheet.value && html`<${LocalPicture} file=${sheet.value} class="pixels" alt=${`four digits, each in six variants: ${chosen.join(", ").replaceAll("_", " ") || "unchanged"}`} />`}</div>
    ${splits && html`<p>Only the <b>train</b> pictures are varied and learnt from (${splits.train.toLocaleString("en")} of the digits). The <b>dev</b>${" "}
      pictures (${splits.dev.toLocaleString("en")}) say which epoch was best, the <b>test</b> pictures (${splits.test.toLocaleString("en")}) how good it really is.</p>`}
  <//>`;
}
