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

/** The largest magnitude in a map, or in numbers of any nesting; 0 of none. */
export function magnitude(numbers) {
  if (numbers?.data) return gridMagnitude(numbers);
  if (!Array.isArray(numbers)) return Number.isFinite(numbers) ? Math.abs(numbers) : 0;
  return numbers.reduce((most, one) => Math.max(most, magnitude(one)), 0);
}

/**
 * A map within an array: {height, width, data, offset, rowStep, columnStep}; number (y, x) is
 * data[offset + y * rowStep + x * columnStep]. Of rows of numbers, the same made of them.
 */
function asGrid(map) {
  if (map.data) return map;
  const width = map[0]?.length ?? 0;
  return { height: map.length, width, data: Float64Array.from(map.flat()), offset: 0, rowStep: width, columnStep: 1 };
}

/** The number of a map in a row and column. */
export function numberAt(grid, y, x) {
  return grid.data[grid.offset + y * grid.rowStep + x * grid.columnStep];
}

function gridMagnitude(grid) {
  let most = 0;
  for (let y = 0; y < grid.height; y += 1) {
    for (let x = 0; x < grid.width; x += 1) {
      const size = Math.abs(numberAt(grid, y, x));
      if (size > most && size < Infinity) most = size;
    }
  }
  return most;
}

const STEPS = 255;

/** Colours of the shares -1 to 1 in equal steps, four bytes each: maps have many numbers. */
function colours(over) {
  const table = new Uint8ClampedArray(4 * (2 * STEPS + 1));
  for (let step = -STEPS; step <= STEPS; step += 1) {
    const share = step / STEPS;
    // over a picture zero is nothing, and what is strong covers it
    const pixel = over ? [...colour(Math.sign(share), 1), 255 * Math.abs(share)] : [...colour(share, 1), 255];
    table.set(pixel, 4 * (step + STEPS));
  }
  return new Uint32Array(table.buffer);
}

/**
 * Paint a map (rows of numbers, or a grid) on a canvas, a pixel a number. `over`: to be laid over a picture, the
 * weaker a number, the more can be seen through it.
 */
export function paint(canvas, map, most = magnitude(map), over = false) {
  const grid = asGrid(map);
  const { height, width } = grid;
  if (!height || !width) return;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const table = colours(over);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const number = numberAt(grid, y, x);
      const share = most > 0 && Number.isFinite(number) ? Math.max(-1, Math.min(1, number / most)) : 0;
      pixels[y * width + x] = table[Math.round(share * STEPS) + STEPS];
    }
  }
  context.putImageData(image, 0, 0);
}
