/** A field whose text belongs to whoever types in it: what is drawn meanwhile does not put the old text back. */
import { html, useState } from "../lib/html.js";

/**
 * An input that shows `value` while nobody types. `set(text)` is called when Enter is pressed or the field is left, or,
 * with `live`, at each letter; the other properties are those of the input.
 */
export function Typed({ value, set, live = false, ...rest }) {
  const [text, setText] = useState(null);
  const typed = (event) => {
    setText(event.target.value);
    if (live) set(event.target.value);
  };
  const done = (event) => {
    setText(null);
    if (!live) set(event.target.value);
  };
  return html`<input ...${rest} value=${text ?? value} onInput=${typed} onChange=${done} onBlur=${() => setText(null)} />`;
}
