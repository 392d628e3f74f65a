/** Arrays of NumPy as the service sends them: `application/x-npz`, a zip of .npy files. */
import { entries } from "./zip.js";

const KINDS = { "<f4": Float32Array, "<f8": Float64Array, "|i1": Int8Array, "|u1": Uint8Array, "<i4": Int32Array };

/** All arrays of a file (a Blob) by name: {shape, strides (in numbers), data, offset}. */
export async function readNpz(file) {
  const found = {};
  for (const { path, open } of await entries(file)) {
    found[path.replace(/\.npy$/, "")] = readNpy(await (await open()).arrayBuffer());
  }
  return found;
}

function readNpy(buffer) {
  const view = new DataView(buffer);
  const wide = view.getUint8(6) > 1;
  const begins = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, begins, length));
  const [, kind] = header.match(/'descr': '([^']+)'/) ?? [];
  const shape = (header.match(/'shape': \(([^)]*)\)/)?.[1] ?? "").split(",").filter((one) => one.trim()).map(Number);
  if (!KINDS[kind]) throw new Error(`Numbers of the kind ${kind} cannot be read here.`);
  const data = new KINDS[kind](buffer.slice(begins + length));
  const strides = new Array(shape.length);
  const axes = [...shape.keys()];
  // the last axis changes fastest, but for arrays in Fortran's order
  if (!/'fortran_order': True/.test(header)) axes.reverse();
  let step = 1;
  for (const axis of axes) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return { shape, strides, data, offset: 0 };
}
