/** Work that takes long: how far it is, in words too, and how to stop it. */
import { html } from "../lib/html.js";

/** `share`: 0 to 1, or null when nobody knows; `note`: words; `stop`: what the button does. */
export function Progress({ share, label, note, stop, stopLabel = "Cancel" }) {
  const known = share !== null && share !== undefined;
  return html`<div class="progress">
    <progress max="1" value=${known ? share : undefined} aria-label=${label}></progress>
    ${stop ? html`<button type="button" onClick=${stop}>${stopLabel}</button>` : html`<span></span>`}
    <span class="note" role="status">${note}</span>
  </div>`;
}
