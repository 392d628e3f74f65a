/** Learn: the article's path, section by section, with everything in it to be tried. The service does the arithmetic. */
import { html } from "../lib/html.js";
import { Augmentation } from "./learn/augmentation.js";
import { Inception, Residual } from "./learn/blocks.js";
import { Convolution, Pooling } from "./learn/convolution.js";
import { Dense } from "./learn/dense.js";
import { Filters } from "./learn/filters.js";
import { Whole } from "./learn/network.js";
import { Training } from "./learn/training.js";
import { Volumes } from "./learn/volumes.js";
import { Why } from "./learn/why.js";

export default function Learn() {
  return html`<h1>Learn</h1>
    <p class="lead">How a convolutional neural network computes what it computes. Move what can be moved: every number is
      worked out by this server, and every call it takes is on <a href="docs">the OpenAPI page</a>.</p>
    <div class="lessons">
      <${Filters} /><${Convolution} /><${Pooling} /><${Volumes} /><${Dense} /><${Why} /><${Whole} /><${Augmentation} /><${Training} /><${Residual} /><${Inception} />
    </div>`;
}
