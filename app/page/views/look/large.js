/** One map in large, with a cursor on it that the mouse, touch and arrow keys move, and perhaps a window marked. */
import { html, useRef } from "../../lib/html.js";
import { FeatureMap } from "../../parts/map.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The edge of a map on the screen: whole pixels for each number where there is room. */
function edge(grid, room = 280) {
  const longer = Math.max(grid.height, grid.width);
  return longer > room ? room : Math.floor(room / longer) * longer;
}

function place(grid, { row, column, height = 1, width = 1 }) {
  const [across, down] = [100 / grid.width, 100 / grid.height];
  return { left: `${column * across}%`, top: `${row * down}%`, width: `${width * across}%`, height: `${height * down}%` };
}

/**
 * `grid`, `most`; `cursor`: {row, column}; `move(row, column)`, and `turn(by)` to another channel: without them it is a
 * picture. `marked`: {row, column, height, width} in numbers of the map, perhaps beyond its edge.
 */
export function LargeMap({ grid, most, label, cursor, move, turn, marked, room }) {
  const held = useRef(false);
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = (share, count) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
    move(at((event.clientY - box.top) / box.height, grid.height), at((event.clientX - box.left) / box.width, grid.width));
  };
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = STEPS[event.key];
    const pages = { PageUp: -1, PageDown: 1 }[event.key];
    if (by) move(Math.max(0, Math.min(grid.height - 1, cursor.row + by[0])), Math.max(0, Math.min(grid.width - 1, cursor.column + by[1])));
    else if (event.key === "Home") move(cursor.row, 0);
    else if (event.key === "End") move(cursor.row, grid.width - 1);
    else if (pages && turn) turn(pages);
    else return;
    event.preventDefault();
  };
  const use = move && {
    tabIndex: 0,
    role: "application",
    "aria-roledescription": "map",
    onKeyDown: keys,
    onPointerDown: (event) => {
      held.current = true;
      event.currentTarget.setPointerCapture?.(event.pointerId);
      point(event);
    },
    onPointerMove: (event) => held.current && point(event),
    onPointerUp: () => (held.current = false),
    onPointerCancel: () => (held.current = false),
  };
  const size = edge(grid, room);
  return html`<div class=${move ? "large points" : "large"} aria-label=${move ? label : undefined} ...${use}>
    <${FeatureMap} rows=${grid} most=${most} size=${size} alt=${move ? undefined : label} />
    ${marked && html`<i class="mark window" style=${place(grid, marked)}></i>`}
    ${cursor && html`<i class="mark" style=${place(grid, cursor)}></i>`}
  </div>`;
}
