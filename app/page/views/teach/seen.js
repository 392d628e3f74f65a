/** The map of what a model looked at, laid over a picture: Grad-CAM, asked for only when it is shown. */
import { pictureForm, post } from "../../lib/api.js";
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { colour, magnitude } from "../../lib/scale.js";
import { ProblemBox } from "../../parts/problem.js";

const TINT = 0.5;
const SHADE = 0.55;

/**
 * `file`: the picture, `name`: the class that is explained. Pictures of Teach are cut to a square by the page as they
 * are by the model, so that the map fits over them. While a new one is on its way the last one stays.
 */
export function Seen({ file, model, name }) {
  const canvas = useRef(null);
  const waiting = useRef(false);
  const newest = useRef(null);
  const [problem, setProblem] = useState(null);
  const [drawn, setDrawn] = useState(false);
  const [nothing, setNothing] = useState(false);
  const gone = useRef(false);
  useEffect(() => () => (gone.current = true), []);
  useEffect(() => {
    newest.current = { file, name };
    // of a camera's pictures only the newest is explained when the last answer has come
    const ask = async () => {
      if (waiting.current) return;
      waiting.current = true;
      while (newest.current && !gone.current) {
        const wanted = newest.current;
        newest.current = null;
        try {
          const found = await post(`v1/models/${model}/explain`, pictureForm(wanted.file), { query: { method: "grad_cam", relative: true, class: wanted.name } });
          if (gone.current) return;
          lay(canvas.current, found.map);
          setDrawn(true);
          setNothing(!magnitude(found.map));
          setProblem(null);
        } catch (error) {
          setProblem(error);
        }
      }
      waiting.current = false;
    };
    ask();
  }, [file, model, name]);
  return html`<canvas ref=${canvas} class="seen" role="img" hidden=${!drawn || nothing} aria-label=${`Where it found what speaks for ${name}: bright`}></canvas>
    <p class="legend">${nothing ? html`Nothing in it speaks for <b>${name}</b>` : drawn ? html`Bright and orange: what speaks for <b>${name}</b>` : problem ? "" : "Asking what it looked at ..."}</p>
    <${ProblemBox} problem=${problem} />`;
}

/** Orange where the number is large, as on every map; what counts for nothing is in the shade, so that it shows on any picture. */
function lay(canvas, rows) {
  const most = magnitude(rows);
  const tint = colour(1, 1);
  canvas.width = rows[0].length;
  canvas.height = rows.length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  rows.forEach((row, y) => row.forEach((number, x) => {
    const share = most > 0 ? Math.max(0, number / most) : 0;
    const [over, under] = [TINT * share, SHADE * (1 - share)];
    const alpha = over + under;
    pixels.data.set([...tint.map((one) => (one * over) / alpha), 255 * alpha], 4 * (y * canvas.width + x));
  }));
  context.putImageData(pixels, 0, 0);
}
