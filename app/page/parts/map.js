/** Numbers as a picture: one map in the diverging scale, a pixel a number, never smoothed. */
import { html, useEffect, useRef } from "../lib/html.js";
import { paint } from "../lib/scale.js";

/** `rows`: (H, W); `most`: the magnitude of the strongest colour; `size`: edge on the screen in pixels. */
export function FeatureMap({ rows, most, size = 62, alt, ...rest }) {
  const canvas = useRef(null);
  useEffect(() => {
    const draw = () => paint(canvas.current, rows, most);
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => scheme.removeEventListener("change", draw);
  }, [rows, most]);
  return html`<canvas ref=${canvas} class="map" role="img" aria-label=${alt}
    style=${{ width: `${size}px`, height: `${size}px` }} ...${rest}></canvas>`;
}
