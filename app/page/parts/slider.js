/** A choice of a number, with the number beside it. */
import { html } from "../lib/html.js";

/** `name` is what it is called in words, `symbol` as in the article (f, p, s); `set(number)`. */
export function Slider({ name, symbol, at, from, to, step = 1, set, format = String }) {
  return html`<label class="slider">
    <span>${name} ${symbol && html`<i>${symbol}</i>`}</span>
    <input type="range" min=${from} max=${to} step=${step} value=${at} aria-valuetext=${format(at)} onInput=${(event) => set(Number(event.target.value))} />
    <output class="num">${format(at)}</output>
  </label>`;
}
