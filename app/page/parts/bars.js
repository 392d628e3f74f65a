/** Probabilities, or other shares, as bars with their numbers. */
import { html } from "../lib/html.js";
import { percent } from "../lib/words.js";

/** `entries`: [{label, share}], the order kept. */
export function Bars({ entries, digits = 0, label = "probabilities" }) {
  return html`<div class="bars" role="list" aria-label=${label}>
    ${entries.map(({ label: name, share }) => html`
      <span class="name" role="listitem">${name}<span class="visually-hidden">: ${percent(share, digits)}</span></span>
      <span class="track" aria-hidden="true"><i style=${{ width: `${100 * share}%` }}></i></span>
      <span class="value" aria-hidden="true">${percent(share, digits)}</span>`)}
  </div>`;
}
