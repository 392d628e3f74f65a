/** The one diverging scale: blue below zero, the card's colour at zero, orange above. The same for maps, weights and products. */

let cached = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (cached = null));

function ends() {
  if (!cached) {
    const style = getComputedStyle(document.documentElement);
    cached = ["--map-low", "--map-mid", "--map-high"].map((name) => rgb(style.getPropertyValue(name).trim()));
  }
  return cached;
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** The colour [r, g, b] of a number; `most` is the magnitude of the strongest colour. */
export function colour(number, most) {
  const [low, mid, high] = ends();
  const share = most > 0 && Number.isFinite(number) ? Math.max(-1, Math.min(1, number / most)) : 0;
  const end = share < 0 ? low : high;
  return mid.map((from, at) => Math.round(from + Math.abs(share) * (end[at] - from)));
}

/** Styles of a cell that holds a number: its colour, and the ink of the two that has 4.5 to 1 or more on it. */
export function cell(number, most) {
  const [r, g, b] = colour(number, most);
  return { background: `rgb(${r} ${g} ${b})`, color: luminance([r, g, b]) > 0.179 ? "#000" : "#fff" };
}

function luminance(colours) {
  // WCAG 2.2, relative luminance
  const [r, g, b] = colours.map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The largest magnitude in numbers of any nesting, 0 of none. */
export function magnitude(numbers) {
  if (!Array.isArray(numbers)) return Number.isFinite(numbers) ? Math.abs(numbers) : 0;
  return numbers.reduce((most, one) => Math.max(most, magnitude(one)), 0);
}

/** Paint a map, rows of numbers (H, W), on a canvas, a pixel a number. */
export function paint(canvas, rows, most = magnitude(rows)) {
  const [height, width] = [rows.length, rows[0]?.length ?? 0];
  if (!height || !width) return;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  rows.forEach((row, y) =>
    row.forEach((number, x) => pixels.data.set([...colour(number, most), 255], 4 * (y * width + x))),
  );
  context.putImageData(pixels, 0, 0);
}
