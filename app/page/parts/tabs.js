/** A row of tabs; arrow keys go from one to the next, as screen readers expect. */
import { html } from "../lib/html.js";

/** `tabs`: [{id, label}], `chosen`: an id, `choose(id)`, `label` of the row. */
export function Tabs({ tabs, chosen, choose, label }) {
  const step = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.id === chosen);
    choose(tabs[(at + by + tabs.length) % tabs.length].id);
    const row = event.currentTarget;
    requestAnimationFrame(() => row.querySelector("[aria-selected=true]")?.focus());
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${step}>
    ${tabs.map((tab) => html`<button type="button" role="tab" key=${tab.id} aria-selected=${tab.id === chosen}
      tabIndex=${tab.id === chosen ? 0 : -1} onClick=${() => choose(tab.id)}>${tab.label}</button>`)}
  </div>`;
}
