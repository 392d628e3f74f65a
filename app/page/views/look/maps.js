/** Maps of one node side by side, as buttons: one stop of the Tab key, and arrow keys from one to the next. */
import { html, useState } from "../../lib/html.js";
import { FeatureMap } from "../../parts/map.js";

/**
 * `maps`: [{grid, most, channel}]; `pick(channel, where)` with `where` the shares {x, y} of the map that was pointed at,
 * or null by the keyboard; `chosen`: a channel; `children`: what comes after the maps.
 */
export function Maps({ label, maps, size = 62, chosen = null, pick, children }) {
  const [stop, setStop] = useState(0);
  const at = Math.min(stop, maps.length - 1);
  const step = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, Home: -maps.length, End: maps.length }[event.key];
    if (!by || !event.target.closest(".mapbutton")) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(maps.length - 1, at + by));
    setStop(next);
    event.currentTarget.querySelectorAll(".mapbutton")[next].focus();
  };
  const click = (event, number) => {
    setStop(number);
    const box = event.currentTarget.firstElementChild.getBoundingClientRect();
    // a click of the keyboard has no place
    const pointed = event.detail > 0;
    pick(maps[number].channel, pointed ? { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height } : null);
  };
  return html`<div class="maps" role="group" aria-label=${label} onKeyDown=${step}>
    ${maps.map(({ grid, most, channel, name }, number) => html`<button type="button" class="mapbutton" key=${channel}
      tabIndex=${number === at ? 0 : -1} aria-pressed=${channel === chosen} aria-label=${name ?? `map ${channel}`}
      onClick=${(event) => click(event, number)}><${FeatureMap} rows=${grid} most=${most} size=${size} /></button>`)}
    ${children}
  </div>`;
}

/** A vector as a strip of cells that can be pointed at. */
export function Strip({ label, grid, most, pick, chosen, numbers }) {
  const click = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    pick(event.detail > 0 ? Math.floor(((event.clientX - box.left) / box.width) * numbers) : null);
  };
  const cell = 100 / numbers;
  return html`<button type="button" class="mapbutton strip" style=${{ width: `${Math.min(544, Math.max(62, numbers * 24))}px` }}
    aria-label=${label} aria-pressed=${chosen !== null} onClick=${click}>
    <${FeatureMap} rows=${grid} most=${most} />
    ${chosen !== null && html`<i class="mark" style=${{ left: `${chosen * cell}%`, width: `${Math.max(cell, 0.5)}%`, top: 0, height: "100%" }}></i>`}
  </button>`;
}
