/** The options of a method of explanation, behind a fold, as the catalog describes them. */
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { SchemaField } from "../../parts/schema_field.js";
import { insideOf, sizes } from "./inside.js";

/** `method` of the catalog; `options`: those that are not as usual; `set(options)`; `problem` of the answer, which may be about one. */
export function Options({ model, file, method, options, set, problem }) {
  const { properties } = method.hyperparameters;
  const names = Object.keys(properties);
  const [open, setOpen] = useState(false);
  const chooses = open && names.includes("node");
  const nodes = useLoaded((signal) => (chooses ? maps(model, file, signal) : Promise.resolve([])), [model.id, chooses]);
  if (!names.length) return null;
  const change = (name, value) => {
    const { [name]: _old, ...rest } = options;
    set(value === undefined ? rest : { ...rest, [name]: value });
  };
  const chosen = Object.keys(options).length;
  return html`<details open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>${chosen ? `Options, ${chosen} of your own` : "Options"}</summary>
    ${open && html`<div class="options">
      ${names.map((name) => html`<${SchemaField} key=${name} name=${name} value=${options[name]} described=${true} none="as it finds best"
        schema=${properties[name]} names=${name === "node" ? (nodes.value ?? []) : undefined}
        fault=${problem?.errors?.some((one) => one.parameter === name)} set=${(value) => change(name, value)} />`)}
      ${chosen > 0 && html`<div><button type="button" class="plain" onClick=${() => set({})}>As usual</button></div>`}
    </div>`}
  </details>`;
}

/** The names of the nodes whose output is a map. */
async function maps(model, file, signal) {
  const { nodes } = await insideOf(model, file, {}).account(signal);
  return nodes.filter((node) => node.type !== "input" && !sizes(node.shape).vector).map((node) => node.name);
}
