/** The way of a picture through the network: a row for each block, whose nodes can be unfolded. */
import { html, useState } from "../../lib/html.js";
import { count } from "../../lib/words.js";
import { blocks } from "./inside.js";
import { Row } from "./row.js";

/**
 * `account`: of `inside` (insideOf), and `plain` the same without gradients; `chosen`: {node, position} or null; `goTo(node, position)`, with nulls to close; `each`: whether each map
 * has its own scale; `names`: of the classes.
 */
export function Way({ inside, plain, account, chosen, goTo, each, names }) {
  const { nodes, gradient } = account;
  return html`<div class="way">
    ${blocks(nodes).map((block) => html`<${Block} key=${block.name} ...${{ inside, plain, block, nodes, chosen, goTo, each, names, gradient }} />`)}
  </div>`;
}

function Block({ block, nodes, chosen, names, ...rest }) {
  const before = block.nodes.slice(0, -1);
  const last = block.nodes.at(-1);
  const within = before.some((node) => node.name === chosen?.node);
  const [unfolded, setUnfolded] = useState(within);
  const shown = unfolded || within;
  const fold = () => {
    setUnfolded(!shown);
    // what is inside cannot stay open when it is folded
    if (within) rest.goTo(null, null);
  };
  const row = (node, level, children) => html`<${Row} key=${node.name} node=${node} nodes=${nodes} level=${level} ...${rest}
    names=${node === nodes.at(-1) && names.length === node.shape.at(-1) ? names : null}
    position=${chosen?.node === node.name ? chosen.position : null}>${children}<//>`;
  return html`<section aria-label=${block.name}>
    ${row(last, 0, before.length > 0 && html`<button type="button" class="plain fold" aria-expanded=${shown} onClick=${fold}>${shown ? "hide" : "show"} ${before.length === 1 ? before[0].name : `${count(before.length, "node")} inside`}</button>`)}
    ${shown && html`<div class="before">${before.map((node) => row(node, 1))}</div>`}
  </section>`;
}
