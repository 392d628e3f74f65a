/** A field for a hyperparameter, made from the schema that the catalog has of it. */
import { html } from "../lib/html.js";
import { Typed } from "./typed.js";

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

/**
 * `schema` of a hyperparameter that is called `name`; `set(value)` gets undefined for its default, which `none` says in
 * words where it has no value; `fault` marks it; with `described` what it means stands below; `names` are those there are to
 * choose from, where the schema knows of none.
 */
export function SchemaField({ name, schema, value, set, fault, none = "none", described = false, names }) {
  const words = names ?? wordsOf(schema);
  const help = schema.description ?? "";
  const label = html`<span title=${described ? undefined : help}>${name.replaceAll("_", " ")}</span>`;
  const below = described && help && html`<small class="soft">${help.replaceAll("`", "")}</small>`;
  if (isOnly(schema, "boolean")) {
    return html`<label class="check"><input type="checkbox" checked=${value ?? schema.default} onChange=${(event) => set(event.target.checked)} /> ${label}${below}</label>`;
  }
  // what is chosen may be an object, {"type": "leaky_relu", "slope": 0.2}: then its JSON is the field
  if (words.length && isOnly({ anyOf: (schema.anyOf ?? [schema]).filter((one) => !one.oneOf) }, "string") && typeof value !== "object") {
    return html`<label class="field">${label}<select value=${value ?? ""} onChange=${(event) => set(event.target.value || undefined)}>
      <option value="">${written(schema.default) ? `${schema.default.type ?? written(schema.default)} (default)` : none}</option>
      ${words.map((word) => html`<option key=${word} value=${word}>${names ? word : word.replaceAll("_", " ")}</option>`)}
    </select>${below}</label>`;
  }
  const list = words.length ? `words-${name}` : undefined;
  return html`<label class="field">${label}<${Typed} value=${written(value)} set=${(text) => set(read(text))} placeholder=${written(schema.default)} list=${list}
      aria-invalid=${Boolean(fault)} inputmode=${isOnly(schema, "integer") ? "numeric" : undefined} />
    ${list && html`<datalist id=${list}>${words.map((word) => html`<option key=${word} value=${word}></option>`)}</datalist>`}${below}</label>`;
}
