/** One node on the way: its name and sizes, its first maps, all of them when it is opened, and a number of it. */
import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { magnitude } from "../../lib/scale.js";
import { percent, shape as shapeWords, value } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { mapOf, placeOf, positionAt, sizes, smallMaps, strongest } from "./inside.js";
import { Maps, Strip } from "./maps.js";
import { NumberOf } from "./number.js";

/** Has an element been near the screen? */
function useSeen() {
  const place = useRef(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (seen) return undefined;
    const watcher = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && setSeen(true), { rootMargin: "600px" });
    watcher.observe(place.current);
    return () => watcher.disconnect();
  }, [seen]);
  return [place, seen];
}

/** `each`: whether each map has its own scale; the rest as of NumberOf. `children` stand beside the name. */
export function Row({ inside, plain, node, nodes, position, goTo, gradient, names, each, level = 0, children }) {
  const [place, seen] = useSeen();
  const [open, setOpen] = useState(false);
  const { vector, channels, height, width, numbers } = sizes(node.shape);
  const at = position && placeOf(node.shape, position);
  const most = Math.max(Math.abs(node.minimum ?? 0), Math.abs(node.maximum ?? 0));
  const pick = (channel, where, grid) => {
    const found = where ?? strongest(grid);
    const [row, column] = where ? [Math.floor(where.y * height), Math.floor(where.x * width)] : [Math.floor((found.row / grid.height) * height), Math.floor((found.column / grid.width) * width)];
    goTo(node.name, positionAt(node.shape, row, column, channel));
  };
  return html`<div class=${`node level${level}`} ref=${place}>
    <div class="named">
      <b><${Broken} name=${node.name} /></b>
      <small>${shapeWords(node.shape)}${node.type !== "input" ? `, ${node.type}` : ""}</small>
      <small>${value(node.minimum)} to ${value(node.maximum)}${node.zeros > 0 ? `, ${percent(node.zeros)} zeros` : ""}</small>
      ${children}
    </div>
    <div class="shown" style=${{ minHeight: vector ? "24px" : "64px" }}>
      ${seen && !open && html`<${Small} node=${node} most=${most} each=${each} chosen=${at} pick=${pick} goTo=${goTo} position=${position} />`}
      ${seen && open && html`<${All} inside=${inside} node=${node} most=${most} each=${each} chosen=${at?.channel ?? null} pick=${pick} />`}
      ${seen && !vector && channels > node.maps.shape[0] && html`<button type="button" class="plain more" aria-expanded=${open}
        aria-label=${open ? `Fewer maps of ${node.name}` : `All ${channels} maps of ${node.name}`}
        onClick=${() => setOpen(!open)}>${open ? "fewer" : `+${channels - node.maps.shape[0]}`}</button>`}
      ${vector && numbers > 1 && !position && html`<span class="soft count">${names && numbers === names.length ? "a number for each class" : ""}</span>`}
    </div>
    ${position && html`<${NumberOf} inside=${inside} plain=${plain} node=${node} nodes=${nodes} position=${position} goTo=${goTo}
      gradient=${gradient} names=${names} />`}
  </div>`;
}

/** A long name may go on in the next line after a slash. */
function Broken({ name }) {
  const pieces = name.split("/");
  return pieces.map((piece, at) => (at < pieces.length - 1 ? html`${piece}/<wbr />` : piece));
}

/** The maps that came with the account. */
function Small({ node, most, each, chosen, pick, goTo, position }) {
  const maps = useMemo(() => smallMaps(node.maps), [node]);
  if (sizes(node.shape).vector) {
    const { numbers } = sizes(node.shape);
    return html`<${Strip} label=${`the ${numbers} numbers of ${node.name}`} grid=${maps[0].grid} most=${127} numbers=${numbers}
      chosen=${position ? position.at(-1) : null}
      pick=${(index) => goTo(node.name, positionAt(node.shape, 0, 0, 0).fill(Math.max(0, index ?? strongest(maps[0].grid).column), -1))} />`;
  }
  // a byte of 127 is the map's own largest: on the node's scale it is less
  const shown = maps.map(({ grid, most: own }, channel) => ({ grid, channel, most: each || !own ? 127 : (127 * most) / own }));
  return html`<${Maps} label=${`maps of ${node.name}`} maps=${shown} chosen=${chosen?.channel ?? null}
    pick=${(channel, where) => pick(channel, where, maps[channel].grid)} />`;
}

/** All maps of a node. */
function All({ inside, node, most, each, chosen, pick }) {
  const array = useLoaded(() => inside.node(node.name), [inside, node.name]);
  const maps = useMemo(
    () => array.value && Array.from({ length: sizes(node.shape).channels }, (_, channel) => {
      const grid = mapOf(array.value, channel);
      return { grid, channel, most: each ? magnitude(grid) : most };
    }),
    [array.value, each, most],
  );
  if (array.problem) return html`<${ProblemBox} problem=${array.problem} again=${array.again} />`;
  if (!maps) return html`<span class="soft" role="status">All maps are on their way …</span>`;
  return html`<${Maps} label=${`all maps of ${node.name}`} maps=${maps} chosen=${chosen} pick=${(channel, where) => pick(channel, where, maps[channel].grid)} />`;
}
