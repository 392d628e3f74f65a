/** The fields of one layer, made from the schema that the catalog has of it. */
import { html } from "../../lib/html.js";
import { SchemaField } from "../../parts/schema_field.js";
import { childrenOf, schemaOf } from "./draft.js";

// what few people set; behind a fold
const RARE = new Set(["name", "inputs", "trainable"]);

/** `layer`, `catalog`, `problem` (its card has the words, the field a red border), `at` its pointer, and `change(how)`, which gets the layer as it is then. */
export function Fields({ layer, catalog, problem, at, change }) {
  const schema = schemaOf(layer.type, catalog);
  const inside = new Set(childrenOf(layer, catalog).map((one) => one.key));
  const names = Object.keys(schema.properties).filter((name) => name !== "type" && !inside.has(name));
  // what has no default first: by it one tells layers apart
  const needed = (name) => (schema.required ?? []).includes(name);
  names.sort((one, other) => needed(other) - needed(one));
  const set = (name, value) => change(({ [name]: old, ...rest }) => (value === undefined ? rest : { ...rest, [name]: value }));
  const field = (name) => html`<${SchemaField} key=${name} name=${name} schema=${schema.properties[name]} value=${layer[name]}
    fault=${problem?.at?.(`${at}/${name}`)} set=${(value) => set(name, value)} />`;
  const often = names.filter((name) => !RARE.has(name));
  return html`<div class="fields">
    ${often.map(field)}
    <details><summary>Name, inputs, freezing</summary><div class="fields">${names.filter((name) => RARE.has(name)).map(field)}</div></details>
  </div>`;
}
