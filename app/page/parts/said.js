/** A sentence of the service, in which names stand between backticks. */
import { html } from "../lib/html.js";

/** `text` as it came; what stands between backticks is set in bold. */
export function Said({ text }) {
  return text.split("`").map((part, at) => (at % 2 ? html`<b>${part}</b>` : part));
}
