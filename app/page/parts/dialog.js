/** A dialog over the page, with the browser's own rules for keys and focus. */
import { html, useEffect, useRef } from "../lib/html.js";

/** `title`, `close()` when it is dismissed, and what is in it. Shown as long as it is rendered. */
export function Dialog({ title, close, children, dismiss = true }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const cancelled = (event) => {
    event.preventDefault();
    if (dismiss) close();
  };
  return html`<dialog ref=${dialog} aria-label=${title} onCancel=${cancelled}
    onClick=${(event) => dismiss && event.target === dialog.current && close()}>
    <header class="row" style=${{ justifyContent: "space-between" }}>
      <h2>${title}</h2>
      ${dismiss && html`<button type="button" class="plain" aria-label="Close" onClick=${close}>✕</button>`}
    </header>
    ${children}
  </dialog>`;
}
