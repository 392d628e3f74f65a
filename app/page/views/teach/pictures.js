/** Looking at a picture file before it is taken: is it readable, was it there before, and a small copy to draw. */

/** Height of the small copies in pixels: twice that of a thumbnail, for sharp screens. */
const HEIGHT = 88;
/** Small copies that are kept; each has some tens of kilobytes. */
const MOST_COPIES = 400;
/** Photos beyond this size are made smaller before they are sent, to this height in pixels. */
const LARGE_BYTES = 1_000_000;
export const LEAN_HEIGHT = 800;
/** Formats that the service reads and browsers do not show. */
const NOT_SHOWN = /\.(tiff?|p[bgpn]m|jp2|j2k|jpx)$/i;
const PICTURE = /\.(jpe?g|jfif|png|gif|webp|bmp|avif|tiff?|p[bgpn]m|jp2|j2k|jpx|hei[cf])$/i;
const SYSTEM = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/i;

const copies = new Map();

/** Does the path look like that of a picture, and not like something that a system leaves in folders? */
export function looksLikePicture(path, type = "") {
  return !SYSTEM.test(path) && (PICTURE.test(path) || type.startsWith("image/"));
}

/** A word for the content of a file: equal pictures have equal ones. */
export async function fingerprint(file) {
  if (globalThis.crypto?.subtle) {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  // elsewhere than on https and localhost browsers do not compute it: size and both ends tell most apart
  const [head, tail] = await Promise.all([file.slice(0, 256), file.slice(-256)].map((one) => one.arrayBuffer()));
  return `${file.size}-${[...new Uint8Array(head), ...new Uint8Array(tail)].join("")}`;
}

/** Try to decode a picture; returns null, or in words why it cannot be taken. */
export async function fault(id, file, name) {
  if (!file.size) return "is empty";
  if (NOT_SHOWN.test(name)) return null;
  if (/\.hei[cf]$/i.test(name)) return "is a HEIC photo, which cannot be read: export it as JPEG";
  try {
    await copy(id, file);
    return null;
  } catch {
    return "is no picture that can be read";
  }
}

/** A small copy of a picture as an ImageBitmap, made off the page's own thread. */
export async function copy(id, file) {
  const found = copies.get(id);
  if (found) return found;
  const made = await createImageBitmap(file, { resizeHeight: HEIGHT, resizeQuality: "medium" });
  copies.set(id, made);
  if (copies.size > MOST_COPIES) {
    // not closed: one that is being drawn may be among them
    copies.delete(copies.keys().next().value);
  }
  return made;
}

/** Is a photo of this `size` made smaller before it is sent? Not if larger pictures are `asked` for. */
export const isLarge = ({ size }, asked) => size >= LARGE_BYTES && !(asked > LEAN_HEIGHT / 2);

/** Is it a photo as cameras make them? */
export const isPhoto = (file) => file.type === "image/jpeg";

/**
 * A photo as it is worth sending. Cameras make some megabytes of each, of which a network sees at most some hundred
 * pixels; so large ones are made smaller. Others stay as they are, to the byte.
 */
export async function lean(file, asked) {
  if (!isPhoto(file) || !isLarge(file, asked)) return file;
  const small = await createImageBitmap(file, { resizeHeight: LEAN_HEIGHT, resizeQuality: "high" });
  const canvas = new OffscreenCanvas(small.width, small.height);
  canvas.getContext("2d").drawImage(small, 0, 0);
  small.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

/** Wait until the page has nothing better to do, so that it answers while hundreds of pictures are looked at. */
export function idle() {
  return new Promise((resolve) =>
    globalThis.requestIdleCallback ? requestIdleCallback(resolve, { timeout: 100 }) : setTimeout(resolve, 4),
  );
}
