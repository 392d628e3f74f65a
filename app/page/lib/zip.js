/** Zip archives: written without compression, as pictures are compressed already, and read entry by entry. */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const UTF8 = 0x0800;
const MOST = 0xffffffff;
const MOST_FILES = 0xfffe;
const LONGEST_COMMENT = 0xffff;
/** 1 January 1980, the first day that a zip archive knows: equal pictures make equal archives. */
const DAY = 0x21;

let table = null;

function crc32(bytes) {
  table ??= Uint32Array.from({ length: 256 }, (_, start) => {
    let sum = start;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? 0xedb88320 ^ (sum >>> 1) : sum >>> 1;
    return sum;
  });
  let sum = 0xffffffff;
  for (let at = 0; at < bytes.length; at += 1) sum = table[(sum ^ bytes[at]) & 0xff] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function record(signature, fields) {
  const bytes = new Uint8Array(4 + fields.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

/**
 * Pack files into a Blob. `files`: [{name, content}] with `content` a string or what gives a Blob when its
 * turn comes; `onprogress(share)`; stops with an AbortError when `signal` says so.
 */
export async function pack(files, { onprogress, signal } = {}) {
  const text = new TextEncoder();
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [number, { name, content: given }] of files.entries()) {
    signal?.throwIfAborted();
    const content = typeof given === "string" ? new Blob([given]) : await given();
    const bytes = new Uint8Array(await content.arrayBuffer());
    const path = text.encode(name);
    const common = [
      [2, 20], [2, UTF8], [2, 0], [2, 0], [2, DAY], [4, crc32(bytes)], [4, bytes.length], [4, bytes.length],
      [2, path.length], [2, 0],
    ];
    directory.push(record(CENTRAL, [[2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), path);
    const head = record(LOCAL, common);
    // the Blob, not its bytes: the browser keeps it where it likes
    parts.push(head, path, content);
    offset += head.length + path.length + bytes.length;
    if (number + 1 >= MOST_FILES) throw new Error("These are more pictures than an archive has room for: at most 65,000.");
    if (offset > MOST) throw new Error("The pictures are more than 4 GB together, more than an upload may have.");
    onprogress?.((number + 1) / files.length);
  }
  const size = directory.reduce((sum, one) => sum + one.length, 0);
  const end = record(END, [[2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Is this file a zip archive, by its name or its kind? */
export function isZip(file) {
  return /\.zip$/i.test(file.name) || file.type === "application/zip" || file.type === "application/x-zip-compressed";
}

/**
 * The files of an archive as [{path, open}], folders left out; `open()` gives the content as a Blob. Nothing is
 * unpacked before that.
 */
export async function entries(file) {
  // a Blob is an answer, and has no name
  const called = file.name ?? "The answer";
  const tail = await view(file, Math.max(0, file.size - LONGEST_COMMENT - 22), file.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error(`${called} is no zip archive that can be read.`);
  const count = tail.getUint16(end + 10, true);
  const start = tail.getUint32(end + 16, true);
  if (start === MOST || count === 0xffff) throw new Error(`${called} is too large an archive to be read in a browser.`);
  const directory = await view(file, start, start + tail.getUint32(end + 12, true));
  const found = [];
  let at = 0;
  for (let number = 0; number < count && at + 46 <= directory.byteLength; number += 1) {
    if (directory.getUint32(at, true) !== CENTRAL) throw new Error(`${called} is damaged.`);
    const field = (offset, size) => (size === 2 ? directory.getUint16(at + offset, true) : directory.getUint32(at + offset, true));
    const entry = { flags: field(8, 2), method: field(10, 2), packed: field(20, 4), size: field(24, 4), offset: field(42, 4) };
    const name = new Uint8Array(directory.buffer, directory.byteOffset + at + 46, field(28, 2));
    const path = new TextDecoder().decode(name).replaceAll("\\", "/");
    if (!path.endsWith("/")) found.push({ path, size: entry.size, open: () => open(file, entry, path) });
    at += 46 + field(28, 2) + field(30, 2) + field(32, 2);
  }
  return found;
}

async function view(file, from, to) {
  return new DataView(await file.slice(from, to).arrayBuffer());
}

async function open(file, entry, path) {
  const head = await view(file, entry.offset, entry.offset + 30);
  const begin = entry.offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const packed = file.slice(begin, begin + entry.packed);
  if (entry.flags & 1) throw new Error(`${path} is encrypted.`);
  if (entry.method === 0) return packed;
  if (entry.method !== 8) throw new Error(`${path} is packed in a way that browsers do not read.`);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
}
