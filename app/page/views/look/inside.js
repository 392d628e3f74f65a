/** What the service says of the inside of a model for one picture. */
import { pictureForm, post, request } from "../../lib/api.js";
import { readNpz } from "../../lib/npz.js";

const MAPS = 8;

/** The calls for a model, a picture (a File) and perhaps `slope` ({gradient, class}); what a node holds is asked once. */
export function insideOf(model, file, slope) {
  const path = `v1/models/${encodeURIComponent(model.id)}`;
  const kept = new Map();
  const form = pictureForm(file);
  const array = async (node) => {
    const answer = await request(`${path}/activations`, {
      method: "POST", body: form, query: { node, ...slope }, accept: "application/x-npz",
    });
    return Object.values(await readNpz(await answer.blob()))[0];
  };
  return {
    /** Every node in short, with its first maps. */
    account: async (signal) =>
      (await post(`${path}/activations`, form, { query: { maps: MAPS, ...slope }, signal })).data[0],
    /** All numbers of a node: (1, H, W, C) or (1, C). */
    node: (name) => {
      if (!kept.has(name)) {
        const promise = array(name);
        promise.catch(() => kept.delete(name));
        kept.set(name, promise);
      }
      return kept.get(name);
    },
    /** How one number of a node came about. */
    trace: async (node, position, signal) =>
      (await post(`${path}/trace`, form, { query: { node, position: position.join(","), on_the_way: true }, signal })).data[0],
    /** How the gradient at one number of a node came about. */
    back: async (node, position, signal) =>
      (await post(`${path}/trace`, form, { query: { node, position: position.join(","), ...slope }, signal })).data[0],
  };
}

/** `ask()`, but not for every place that somebody drags over: only for where they stop. */
export async function settled(ask, signal) {
  await new Promise((done) => setTimeout(done, 40));
  return signal.aborted ? null : ask();
}

/** The sizes of a node's output as it is shown: maps, or a vector of so many numbers. */
export function sizes(shape) {
  if (shape.length === 3 && (shape[0] > 1 || shape[1] > 1)) {
    return { vector: false, height: shape[0], width: shape[1], channels: shape[2] };
  }
  const numbers = shape.reduce((one, other) => one * other, 1);
  const width = Math.min(numbers, 32);
  return { vector: true, height: Math.ceil(numbers / width), width, channels: 1, numbers };
}

/** One map of an array (1, H, W, C) as a grid; of a vector (1, C), all of it in rows of 32. */
export function mapOf(array, channel) {
  const { vector, height, width, numbers } = sizes(array.shape.slice(1));
  if (!vector) {
    const [, rowStep, columnStep, channelStep] = array.strides;
    return { height, width, data: array.data, offset: channel * channelStep, rowStep, columnStep };
  }
  const data = new Float32Array(height * width).fill(NaN);
  data.set(array.data.subarray(0, numbers));
  return { height, width, data, offset: 0, rowStep: width, columnStep: 1 };
}

/** The first maps of a node in short as grids, each with the magnitude that its 127 stands for. */
export function smallMaps({ shape: [channels, height, width], most, data }) {
  const bytes = Int8Array.from(atob(data), (one) => one.charCodeAt(0));
  return Array.from({ length: channels }, (_, channel) => ({
    most: most[channel],
    grid: { height, width, data: bytes, offset: channel * height * width, rowStep: width, columnStep: 1 },
  }));
}

/** The position of a place on a map: [row, column, channel], or [index] of a vector. */
export function positionAt(shape, row, column, channel) {
  const { vector, height, width, numbers } = sizes(shape);
  const [y, x] = [Math.max(0, Math.min(height - 1, row)), Math.max(0, Math.min(width - 1, column))];
  if (!vector) return [y, x, channel];
  const index = Math.min(numbers - 1, y * width + x);
  return shape.length === 3 ? [0, 0, index] : [index];
}

/** The place on its map of a position: {row, column, channel}. */
export function placeOf(shape, position) {
  const { vector, width } = sizes(shape);
  if (!vector) return { row: position[0], column: position[1], channel: position[2] };
  const index = position[position.length - 1];
  return { row: Math.floor(index / width), column: index % width, channel: 0 };
}

/** Where the strongest number of a grid is: {row, column}. */
export function strongest(grid) {
  let [row, column, most] = [0, 0, -1];
  for (let y = 0; y < grid.height; y += 1) {
    for (let x = 0; x < grid.width; x += 1) {
      const size = Math.abs(grid.data[grid.offset + y * grid.rowStep + x * grid.columnStep]);
      if (size > most) [row, column, most] = [y, x, size];
    }
  }
  return { row, column };
}

/** The nodes of a network by the block that they are in: [{name, nodes}], in their order. */
export function blocks(nodes) {
  const found = [];
  for (const node of nodes) {
    const name = node.name.split("/")[0];
    if (found.at(-1)?.name === name) found.at(-1).nodes.push(node);
    else found.push({ name, nodes: [node] });
  }
  return found;
}
