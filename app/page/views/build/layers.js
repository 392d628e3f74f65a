/** The network as blocks: to add, move, edit, with the shape that each puts out. */
import { html, useState } from "../../lib/html.js";
import { large, sentence, shape } from "../../lib/words.js";
import { childrenOf, pointer, schemaOf } from "./draft.js";
import { Fields } from "./fields.js";

/**
 * A list of layers at `path` of the document. `edit(path, change)` changes what is at a path; `world` is what all
 * cards need: {catalog, problem, summary, chosen, choose, edit}.
 */
export function LayerList({ layers, path, world, label }) {
  return html`<div class="layers">
    <ol class="list" aria-label=${label}>
      ${layers.map((layer, at) => html`<${Card} key=${at} layer=${layer} path=${[...path, at]} at=${at} of=${layers.length} world=${world} />`)}
    </ol>
    <${Add} path=${path} at=${layers.length} world=${world} label=${label} />
  </div>`;
}

function Add({ path, at, world, label }) {
  const add = (event) => {
    const found = world.catalog.find((one) => one.name === event.target.value);
    event.target.value = "";
    if (!found) return;
    world.edit(path, (layers) => layers.toSpliced(at, 0, found.example));
    world.choose(pointer([...path, at]));
  };
  return html`<select class="add" aria-label=${`Add a layer to ${label}`} onChange=${add}>
    <option value="">+ add a layer</option>
    ${world.catalog.map((one) => html`<option key=${one.name} value=${one.name}>${one.name.replaceAll("_", " ")} - ${one.title}</option>`)}
  </select>`;
}

/** Is a fault at this layer, and not at one inside of it? */
function faultsOf(problem, at, inner) {
  return (problem?.errors ?? []).filter((fault) => fault.pointer === at || (fault.pointer?.startsWith(`${at}/`)
    && !inner.some((one) => new RegExp(`^${at}/${one.key}/\\d`).test(fault.pointer))));
}

function Card({ layer, path, at, of, world }) {
  const here = pointer(path);
  const inner = childrenOf(layer, world.catalog);
  const nodes = world.summary?.layers.filter((one) => one.pointer === here || one.pointer.startsWith(`${here}/`)) ?? [];
  const own = nodes.filter((one) => one.pointer === here);
  const faults = faultsOf(world.problem, here, inner);
  const hints = world.summary?.hints.filter((one) => one.pointer === here) ?? [];
  const open = world.chosen === here;
  const list = path.slice(0, -1);
  const move = (by) => {
    world.edit(list, (layers) => {
      const rest = layers.toSpliced(at, 1);
      return rest.toSpliced(at + by, 0, layers[at]);
    });
    world.choose(pointer([...list, at + by]));
  };
  const keys = (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || !event.altKey || at + by < 0 || at + by >= of) return;
    event.preventDefault();
    move(by);
  };
  const parameters = nodes.reduce((sum, one) => sum + one.parameters, 0);
  return html`<li class=${`layer ${faults.length ? "wrong" : ""} ${open ? "open" : ""}`}>
    <button type="button" class="head" aria-expanded=${open} onKeyDown=${keys} onClick=${() => world.choose(open ? null : here)}>
      <span class="type">${layer.type.replaceAll("_", " ")}${layer.name ? ` "${layer.name}"` : ""}</span>
      <span class="what soft">${brief(layer, inner, world.catalog)}</span>
      <span class="num out">${own.length ? shape(own.at(-1).output_shape) : nodes.length ? shape(nodes.at(-1).output_shape) : ""}</span>
      <span class="num soft">${nodes.length ? (parameters ? large(parameters) : "–") : ""}</span>
    </button>
    ${faults.map((fault) => html`<p class="fault" role="alert">${fault.detail}${fault.hint && html`. <span class="soft">${sentence(fault.hint)}</span>`}</p>`)}
    ${hints.map((hint) => html`<p class="hint"><b>Hint:</b> ${hint.detail}. <span class="soft">${sentence(hint.fix)}</span></p>`)}
    ${open && html`<div class="editor">
      <${Fields} layer=${layer} catalog=${world.catalog} problem=${world.problem} at=${here} change=${(how) => world.edit(path, how)} />
      <div class="row tools">
        <button type="button" disabled=${at === 0} onClick=${() => move(-1)}>Move up</button>
        <button type="button" disabled=${at === of - 1} onClick=${() => move(1)}>Move down</button>
        <button type="button" onClick=${() => world.edit(list, (layers) => layers.toSpliced(at + 1, 0, { ...layers[at], name: undefined }))}>Duplicate</button>
        <button type="button" onClick=${() => { world.edit(list, (layers) => layers.toSpliced(at, 1)); world.choose(null); }}>Remove</button>
      </div>
      <p class="soft title">${world.catalog.find((one) => one.name === layer.type)?.title}</p>
    </div>`}
    ${inner.map((one) => html`<${Inside} key=${one.key} layer=${layer} child=${one} path=${path} world=${world} />`)}
  </li>`;
}

function Inside({ layer, child, path, world }) {
  // large blocks are folded: a network from the literature has dozens of them
  const [open, setOpen] = useState(false);
  const lists = child.nested ? layer[child.key] : [layer[child.key] ?? []];
  const count = lists.reduce((sum, one) => sum + one.length, 0);
  const here = pointer([...path, child.key]);
  const within = world.chosen?.startsWith(`${here}/`) || world.problem?.errors?.some((fault) => fault.pointer?.startsWith(here));
  return html`<details class="inside" open=${open || within} onToggle=${(event) => setOpen(event.target.open)}>
    <summary>${child.nested ? `${lists.length} ${child.key}, ` : child.key === "layers" ? "" : `${child.key}: `}${count} ${count === 1 ? "layer" : "layers"} inside</summary>
    ${(open || within) && lists.map((layers, at) => html`<${LayerList} key=${at} layers=${layers} world=${world}
      path=${child.nested ? [...path, child.key, at] : [...path, child.key]}
      label=${child.nested ? `${child.key.replace(/es$|s$/, "")} ${at + 1}` : child.key} />`)}
    ${open && child.nested && html`<button type="button" class="plain" onClick=${() => world.edit([...path, child.key], (all) => [...all, []])}>+ add one more</button>`}
  </details>`;
}

// the few numbers by which one tells layers apart: first what has no default
function brief(layer, inner, catalog) {
  const { properties, required = [] } = schemaOf(layer.type, catalog);
  const order = Object.keys(properties);
  const hidden = new Set(["type", "name", "inputs", "trainable", ...inner.map((one) => one.key)]);
  return Object.entries(layer)
    .filter(([name, value]) => !hidden.has(name) && value !== null && value !== undefined && (typeof value !== "object" || Array.isArray(value)))
    .sort(([one], [other]) => required.includes(other) - required.includes(one) || order.indexOf(one) - order.indexOf(other))
    .slice(0, 4)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${Array.isArray(value) ? sizes(value.flat()) : value}`)
    .join(", ");
}

// a window as its sides, a padding that is the same on all four of them as one number
const sizes = (numbers) => (numbers.length > 2 && numbers.every((one) => one === numbers[0]) ? numbers[0] : numbers.join("×"));
