/** Arrays of NumPy as the service sends them: `application/x-npz`, a zip of .npy files that are stored as they are. */

const KINDS = { "<f4": Float32Array, "<f8": Float64Array, "|i1": Int8Array, "|u1": Uint8Array, "<i4": Int32Array };

/** All arrays of a file (an ArrayBuffer) by name: {shape, strides (in numbers), data, offset}. */
export function readNpz(buffer) {
  const view = new DataView(buffer);
  const found = {};
  for (const { name, start, size } of entries(view)) {
    found[name.replace(/\.npy$/, "")] = readNpy(buffer.slice(start, start + size));
  }
  return found;
}

/** The files of a zip, by its directory at the end: where each begins, and its size. */
function* entries(view) {
  let end = view.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error("The answer is no file of NumPy.");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  for (let number = 0; number < count; number += 1) {
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [named, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const local = view.getUint32(at + 42, true);
    if (method !== 0) throw new Error("The file of NumPy is compressed, and is not expected to be.");
    // the local header has a name and an extra field of its own length
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    yield { name: new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, named)), start, size };
    at += 46 + named + extra + comment;
  }
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
