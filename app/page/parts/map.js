/** Numbers as a picture: one map in the diverging scale, a pixel a number, never smoothed. */
import { html, useEffect, useRef } from "../lib/html.js";
import { paint } from "../lib/scale.js";

/**
 * `rows`: numbers (H, W), or a grid of lib/scale.js; `most`: the magnitude of the strongest colour; `size`: the longer
 * edge on the screen in pixels; `over`: to be laid over a picture. Without `alt` it is decoration.
 */
export function FeatureMap({ rows, most, size = 62, alt, over = false, ...rest }) {
  const canvas = useRef(null);
  const [height, width] = rows.data ? [rows.height, rows.width] : [rows.length, rows[0]?.length ?? 1];
  const scale = size / Math.max(height, width);
  useEffect(() => {
    const draw = () => paint(canvas.current, rows, most, over);
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => scheme.removeEventListener("change", draw);
  }, [rows, most, over]);
  const said = alt ? { role: "img", "aria-label": alt } : { "aria-hidden": "true" };
  return html`<canvas ref=${canvas} class=${over ? "map over" : "map"} ...${said}
    style=${{ width: `${width * scale}px`, height: `${height * scale}px` }} ...${rest}></canvas>`;
}
