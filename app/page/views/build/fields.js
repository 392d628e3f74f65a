/** The fields of one layer, made from the schema that the catalog has of it. */
import { html } from "../../lib/html.js";
import { Typed } from "../../parts/typed.js";
import { childrenOf, schemaOf } from "./draft.js";

// what few people set; behind a fold
const RARE = new Set(["name", "inputs", "trainable"]);

/** `layer`, `catalog`, `problem` (its card has the words, the field a red border), `at` its pointer, and `change(how)`, which gets the layer as it is then. */
export function Fields({ layer, catalog, problem, at, change }) {
  const schema = schemaOf(layer.type, catalog);
  const inside = new Set(childrenOf(layer, catalog).map((one) => one.key));
  const names = Object.keys(schema.properties).filter((name) => name !== "type" && !inside.has(name));
  const set = (name, value) => change(({ [name]: old, ...rest }) => (value === undefined ? rest : { ...rest, [name]: value }));
  const field = (name) => html`<${Field} key=${name} name=${name} schema=${schema.properties[name]} value=${layer[name]}
    fault=${problem?.at?.(`${at}/${name}`)} set=${(value) => set(name, value)} />`;
  const often = names.filter((name) => !RARE.has(name));
  return html`<div class="fields">
    ${often.map(field)}
    <details><summary>Name, inputs, freezing</summary><div class="fields">${names.filter((name) => RARE.has(name)).map(field)}</div></details>
  </div>`;
}

/** The words that a schema allows, an empty list if it allows others, too. */
function wordsOf(schema) {
  return schema.enum ?? schema.anyOf?.flatMap((one) => one.enum ?? []) ?? [];
}

function isOnly(schema, type) {
  const types = (schema.anyOf ?? [schema]).map((one) => one.type).filter((one) => one !== "null");
  return types.every((one) => one === type);
}

/** Text as the JSON that it stands for: "3", "[3, 5]", "3, 5" or a word; empty is the default. */
function read(text) {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  for (const attempt of [trimmed, `[${trimmed}]`]) {
    try {
      return JSON.parse(attempt);
    } catch {
      // then it is something else
    }
  }
  return trimmed;
}

function written(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value) && value.every((one) => typeof one === "number")) {
    return value.every((one) => one === value[0]) ? String(value[0]) : value.join(", ");
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

function Field({ name, schema, value, set, fault }) {
  const words = wordsOf(schema);
  const help = schema.description ?? "";
  const label = html`<span title=${help}>${name.replaceAll("_", " ")}</span>`;
  if (isOnly(schema, "boolean")) {
    return html`<label class="check"><input type="checkbox" checked=${value ?? schema.default} onChange=${(event) => set(event.target.checked)} /> ${label}</label>`;
  }
  // what is chosen may be an object, {"type": "leaky_relu", "slope": 0.2}: then its JSON is the field
  if (words.length && isOnly({ anyOf: (schema.anyOf ?? [schema]).filter((one) => !one.oneOf) }, "string") && typeof value !== "object") {
    return html`<label class="field">${label}<select value=${value ?? ""} onChange=${(event) => set(event.target.value || undefined)}>
      <option value="">${written(schema.default) ? `${schema.default.type ?? written(schema.default)} (default)` : "none"}</option>
      ${words.map((word) => html`<option key=${word} value=${word}>${word.replaceAll("_", " ")}</option>`)}
    </select></label>`;
  }
  const list = words.length ? `words-${name}` : undefined;
  return html`<label class="field">${label}<${Typed} value=${written(value)} set=${(text) => set(read(text))} placeholder=${written(schema.default)} list=${list}
      aria-invalid=${Boolean(fault)} inputmode=${isOnly(schema, "integer") ? "numeric" : undefined} />
    ${list && html`<datalist id=${list}>${words.map((word) => html`<option key=${word} value=${word}></option>`)}</datalist>`}</label>`;
}
