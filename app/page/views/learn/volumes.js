/** Volumes: images and filters of several channels, and several filters. */
import { post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { shape } from "../../lib/words.js";
import { Arithmetic, channelOf } from "../../parts/arithmetic.js";
import { FeatureMap } from "../../parts/map.js";
import { ProblemBox } from "../../parts/problem.js";
import { Slider } from "../../parts/slider.js";
import { Section, useCall } from "./shared.js";

const NAMES = ["red", "green", "blue", "fourth"];

/** A picture (6, 6, channels) of stripes that run another way in each channel. */
function picture(channels) {
  return Array.from({ length: 6 }, (_, y) => Array.from({ length: 6 }, (_, x) =>
    Array.from({ length: channels }, (_, c) => [x < 3 ? 10 : 0, y < 3 ? 10 : 0, x + y < 6 ? 10 : 0, 5][c])));
}

export function Volumes() {
  const [channels, setChannels] = useState(3);
  const [filters, setFilters] = useState(2);
  const [channel, setChannel] = useState(0);
  const shown = Math.min(channel, channels - 1);
  const done = useCall((signal) => post("v1/operations/conv2d", {
    input: picture(channels), layer: { filters, kernel_size: 3 }, weights: { seed: 3 },
    trace: { positions: [[1, 1, 0]] },
  }, { signal }), [channels, filters]);
  const output = done.value?.output;
  const image = picture(channels);
  return html`<${Section} id="volumes" title="Volumes: several channels, several filters">
    <p>A picture in colours has three channels. A filter has as many as its input: each slice is laid on its own channel, and
      all products go into one sum. So one filter makes one map, however deep the input; n filters make n maps.</p>
    <div class="controls">
      <${Slider} name="Channels" symbol=${html`n<sub>C</sub>`} at=${channels} from=${1} to=${4} set=${setChannels} />
      <${Slider} name="Filters" at=${filters} from=${1} to=${6} set=${setFilters} />
    </div>
    <${ProblemBox} problem=${done.problem} />
    <div class="equation scroll" tabIndex="0" role="group" aria-label="from input to output">
      ${Array.from({ length: channels }, (_, c) => html`<figure key=${c}><${FeatureMap} rows=${channelOf(image, c)} most=${10} size=${84} alt=${`channel ${c} of the input`} />
        <figcaption>${NAMES[c]}</figcaption></figure>`)}
      <span class="sign" aria-hidden="true">→</span>
      ${output && Array.from({ length: done.value.output_shape[2] ?? 1 }, (_, n) => html`<figure key=${`o${n}`}>
        <${FeatureMap} rows=${channelOf(output, n)} size=${84} alt=${`map of filter ${n + 1}`} /><figcaption>filter ${n + 1}</figcaption></figure>`)}
    </div>
    ${done.value && html`<p class="sum">input ${shape([6, 6, channels])}, filters ${filters} of ${shape([3, 3, channels])}, output ${shape([4, 4, filters])};
      to learn: (3 × 3 × ${channels} + 1) × ${filters} = <b>${done.value.parameters}</b> numbers</p>
      <label class="field slice"><span>Slice of the first filter, at row 1, column 1</span>
        <select value=${shown} onChange=${(event) => setChannel(Number(event.target.value))}>
          ${Array.from({ length: channels }, (_, c) => html`<option key=${c} value=${c}>${NAMES[c]}</option>`)}
        </select></label>
      <${Arithmetic} trace=${done.value.trace[0]} channel=${shown}
        names=${{ window: `window, ${NAMES[shown]}`, filter: `slice of K, ${NAMES[shown]}`, products: `products, ${NAMES[shown]}` }} />`}
  <//>`;
}
