/** The network that is being built: a document as the service takes it, kept for this tab, with what can be undone. */
import { useLayoutEffect, useMemo, useReducer } from "../../lib/html.js";

const NAME = "convserve-draft";
const MOST = 100;

/** What is stored, or null. */
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}

function reduce(state, action) {
  if (action.undo) {
    return state.past.length ? { now: state.past.at(-1), past: state.past.slice(0, -1), future: [state.now, ...state.future] } : state;
  }
  if (action.redo) {
    return state.future.length ? { now: state.future[0], past: [...state.past, state.now], future: state.future.slice(1) } : state;
  }
  const next = action.change(state.now);
  if (JSON.stringify(next) === JSON.stringify(state.now)) return state;
  return { now: next, past: state.now ? [...state.past, state.now].slice(-MOST) : [], future: [] };
}

/** {draft, edit(change), undo, redo}: `change` gets the newest draft; `undo` and `redo` are null when there is nothing to go to. */
export function useDraft() {
  const [state, act] = useReducer(reduce, null, () => ({ now: stored(), past: [], future: [] }));
  // before anything else can happen: who reloads right after an edit finds it
  useLayoutEffect(() => sessionStorage.setItem(NAME, JSON.stringify(state.now)), [state.now]);
  return useMemo(() => ({
    draft: state.now,
    edit: (change) => act({ change }),
    undo: state.past.length ? () => act({ undo: true }) : null,
    redo: state.future.length ? () => act({ redo: true }) : null,
  }), [state]);
}

/** A document without what the schemas of its layers have as defaults: what somebody would write. */
export function plain(layers, catalog) {
  return layers.map((layer) => {
    const { properties } = schemaOf(layer.type, catalog);
    const kept = Object.entries(layer).filter(([name, value]) =>
      name === "type" || (value !== null && JSON.stringify(value) !== JSON.stringify(properties[name]?.default)));
    const children = childrenOf(layer, catalog);
    return Object.fromEntries(kept.map(([name, value]) => {
      const child = children.find((one) => one.key === name);
      if (!child) return [name, value];
      return [name, child.nested ? value.map((branch) => plain(branch, catalog)) : plain(value, catalog)];
    }));
  });
}

/** The JSON schema of a layer's hyperparameters, from the catalog. */
export function schemaOf(type, catalog) {
  return catalog.find((one) => one.name === type)?.hyperparameters ?? { properties: {}, required: [] };
}

const holdsLayers = (schema) => schema?.type === "array" && "$ref" in (schema.items ?? {});

/** The fields of a layer that hold layers: [{key, nested}], `nested` where they are lists of lists. */
export function childrenOf(layer, catalog) {
  return Object.entries(schemaOf(layer.type, catalog).properties).flatMap(([key, schema]) => {
    if (holdsLayers(schema)) return [{ key, nested: false }];
    if (schema.type === "array" && holdsLayers(schema.items)) return [{ key, nested: true }];
    return schema.anyOf?.some(holdsLayers) && Array.isArray(layer[key]) ? [{ key, nested: false }] : [];
  });
}

/** A copy of a document in which the value at a path of keys is what `change(value)` returns. */
export function replaced(value, path, change) {
  if (!path.length) return change(value);
  const [key, ...rest] = path;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  copy[key] = replaced(value[key], rest, change);
  return copy;
}

/** ["layers", 3] as "/layers/3". */
export function pointer(path) {
  return path.map((key) => `/${key}`).join("");
}
