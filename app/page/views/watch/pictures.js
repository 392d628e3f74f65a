/** Pictures of a data set in a grid that opens them: arrow keys go from one to the next. */
import { html, useRef, useState } from "../../lib/html.js";
import { link } from "../../lib/router.js";
import { percent, precise } from "../../lib/words.js";
import { Dialog } from "../../parts/dialog.js";
import { Picture } from "../../parts/picture.js";
import { corrected, Corrections } from "./corrections.js";

/** What the model made of a picture, in words; for all three targets. */
export function verdict(one) {
  if (one.error !== null && one.error !== undefined) return one.values.map((each) => `${each.name} is ${precise(each.value)}, predicted ${precise(each.predicted)}`).join("; ");
  if (one.labels?.length) {
    const missed = one.labels.filter((each) => each.true && !each.predicted).map((each) => each.name);
    const invented = one.labels.filter((each) => !each.true && each.predicted).map((each) => each.name);
    const parts = [missed.length && `missed: ${missed.join(", ")}`, invented.length && `invented: ${invented.join(", ")}`].filter(Boolean);
    return parts.join("; ") || `right: ${one.labels.map((each) => each.name).join(", ")}`;
  }
  if (one.predicted === null || one.predicted === undefined) return one.label ?? "none of the labels";
  return one.predicted === one.label ? `${one.label}, rightly (${sure(one)})` : `${one.label}, taken for ${one.predicted} (${sure(one)})`;
}

/** How probable it found that, in one piece where lines break. */
function sure(one) {
  return percent(one.probability).replace(" ", "\u00a0");
}

/** The path below the page of an address that the service gives. */
export function pathOf(one) {
  return one.image_url.slice(1);
}

/**
 * `pictures`: with number, name, image_url; `words(one)`: what is said below each; `more(one)`: what a dialog shows of one
 * beside the picture; `label` of the grid; `size` of a picture on the screen.
 */
export function Pictures({ pictures, words = verdict, open: shown, label, size = 72 }) {
  const [open, setOpen] = useState(null);
  const [at, setAt] = useState(0);
  const list = useRef(null);
  const now = open && (pictures.find((one) => one.number === open.number) ?? open);
  const current = Math.min(at, pictures.length - 1);
  const key = (event) => {
    const cells = [...list.current.children];
    const columns = Math.max(1, cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop));
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!by || !cells[current + by]) return;
    event.preventDefault();
    setAt(current + by);
    cells[current + by].querySelector("button").focus();
  };
  return html`<ul class="pictures" ref=${list} aria-label=${label} onKeyDown=${key} style=${{ gridTemplateColumns: `repeat(auto-fill, minmax(${size + 44}px, 1fr))` }}>
      ${pictures.map((one, place) => html`<li key=${one.number}>
        <button type="button" tabIndex=${place === current ? 0 : -1} onFocus=${() => setAt(place)} onClick=${() => setOpen(one)}>
          <${Picture} path=${pathOf(one)} query=${{ size: 64 }} loading="lazy" class="pixels" alt=${`Picture ${one.number}`} width=${size} height=${size} />
          <span>${words(one)}</span>${corrected(one) && html`<b>corrected</b>`}
        </button>
      </li>`)}
    </ul>
    ${open && html`<${Dialog} title=${now.name || `Picture ${now.number}`} close=${() => setOpen(null)}>
      <${Large} one=${now} words=${words} />
      ${shown?.(now)}
    <//>`}`;
}

function Large({ one, words }) {
  return html`<div class="stack large-picture">
    <${Picture} path=${pathOf(one)} class="pixels" alt=${`Picture ${one.number}`} />
    <p>${words(one)}<br /><small class="soft">Number ${one.number}${one.name && `, from ${one.name}`}</small></p>
  </div>`;
}

/** What the dialog of a mistake has beside the picture: its corrections, and the way to Look. */
export function Judged({ one, dataset, model, changed }) {
  return html`<div class="stack">
    ${one.corrections.length > 0 && html`<${Corrections} one=${one} changed=${changed} />`}
    ${model && html`<p><a href=${link("look", { model, dataset, number: one.number, tab: "why" })}>Why it says so</a></p>`}
  </div>`;
}
