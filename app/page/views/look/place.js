/** The map that a window lies in, with the window marked. */
import { html } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { magnitude } from "../../lib/scale.js";
import { mapOf, positionAt, sizes } from "./inside.js";
import { LargeMap } from "./large.js";

/** `trace` with the window, `name` of the node that it lies in, `verb`: what is done with the map; `channel` of the window. */
export function Place({ inside, trace, name, verb, channel, nodes, goTo }) {
  const source = nodes.find((one) => one.name === name);
  const known = source && trace.window && trace.begins?.length === 3 && !sizes(source.shape).vector;
  const array = useLoaded(() => (known ? inside.node(name) : Promise.resolve(null)), [inside, name, Boolean(known)]);
  if (!known || array.value?.shape.slice(1).join() !== source.shape.join()) return null;
  const [rows, columns] = [trace.window.length, trace.window[0].length];
  const first = trace.begins[2];
  const index = Math.max(0, Math.min(source.shape[2] - 1, first + (trace.factors ? channel * (trace.step?.[2] ?? 1) : 0)));
  const grid = mapOf(array.value, index);
  const [down, across] = [trace.step?.[0] ?? 1, trace.step?.[1] ?? 1];
  const marked = {
    row: trace.begins[0], column: trace.begins[1],
    height: (rows - 1) * down + 1, width: (columns - 1) * across + 1,
  };
  const middle = positionAt(source.shape, marked.row + Math.floor(marked.height / 2), marked.column + Math.floor(marked.width / 2), index);
  return html`<figure class="place">
    <${LargeMap} grid=${grid} most=${magnitude(grid)} marked=${marked} room=${140} label=${`The window in map ${index} of ${name}`} />
    <figcaption>${verb} map ${index} of <button type="button" class="plain" onClick=${() => goTo(name, middle)}>${name}</button></figcaption>
  </figure>`;
}
