/** What the sections of Learn share. */
import { html, useEffect, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";

/** The article's 6 x 6 image: light on the left, dark on the right. */
export const IMAGE = Array.from({ length: 6 }, () => [10, 10, 10, 0, 0, 0]);

/** A section of the article: its number, its title, words that say what it means, and what can be tried. */
export function Section({ id, title, children }) {
  return html`<section class="lesson" id=${`learn-${id}`} aria-label=${title}><h2>${title}</h2>${children}</section>`;
}

/** Run a call when `inputs` have been still for a moment: a slider moves in many small steps. */
export function useCall(call, inputs) {
  const [still, setStill] = useState(inputs);
  const key = JSON.stringify(inputs);
  useEffect(() => {
    const timer = setTimeout(() => setStill(inputs), 60);
    return () => clearTimeout(timer);
  }, [key]);
  return useLoaded((signal) => call(signal), [JSON.stringify(still)]);
}

/** Rows with one number changed. */
export function changed(rows, y, x, number) {
  return rows.map((row, at) => (at === y ? row.map((one, column) => (column === x ? number : one)) : row));
}

/** Bars of amounts, longest first to none: each with its number in words. */
export function Amounts({ entries, label, format }) {
  const most = Math.max(...entries.map((one) => one.amount), 1);
  return html`<div class="amounts" role="list" aria-label=${label}>
    ${entries.map((one) => html`<div role="listitem" key=${one.label} class="amount">
      <span>${one.label}</span>
      <span class="track" aria-hidden="true"><i style=${{ width: `${Math.max(0.5, (100 * one.amount) / most)}%` }}></i></span>
      <span class="num">${format(one.amount)}</span>
    </div>`)}
  </div>`;
}
