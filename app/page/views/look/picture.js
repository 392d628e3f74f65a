/** The picture that is looked at: one of a data set, or somebody's own, which the tab keeps over a reload. */
import { blob, get } from "../../lib/api.js";

const KEPT = "convserve-look-picture";
/** Characters of a data address that are kept: browsers allow about five million for all. */
const MOST = 3_000_000;

let own = null;

/** Keep a picture of somebody's own for this tab: at once, and a little later over a reload. */
export async function keepOwn(file) {
  own = file;
  const text = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => done(null);
    reader.readAsDataURL(file);
  });
  // another one may have been taken while this one was read
  if (own !== file) return;
  try {
    if (text && text.length < MOST) sessionStorage.setItem(KEPT, JSON.stringify({ name: file.name, text }));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // the tab's room is full: the picture is lost with a reload
  }
}

/** The picture of one's own that this tab has, a File, or null. */
export function ownPicture() {
  if (own) return own;
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (!kept) return null;
  const [head, data] = kept.text.split(",");
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  own = new File([bytes], kept.name, { type: head.match(/data:([^;]*)/)?.[1] ?? "" });
  return own;
}

/** A picture of a data set (as lists have it) as {file, words}: what becomes the pixels that training sees. */
export async function samplePicture(dataset, number, signal) {
  const path = `v1/datasets/${encodeURIComponent(dataset.id)}/images/${number}`;
  const [content, known] = await Promise.all([
    blob(path, { signal, accept: "image/png" }), get(path, {}, { signal, accept: "application/json" }),
  ]);
  // the service inverts what is sent as it did when the data set was made, so that it has to come as it was before
  const plain = dataset.preprocessing?.invert ? await inverted(content) : content;
  return { file: new File([plain], `${number}.png`, { type: "image/png" }), words: `picture ${number} of ${dataset.name}${labelled(known)}` };
}

async function inverted(content) {
  const bitmap = await createImageBitmap(content);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < image.data.length; at += 1) if (at % 4 < 3) image.data[at] = 255 - image.data[at];
  context.putImageData(image, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** What a picture of a data set is said to show, in words. */
export function labelled(known) {
  if (known.label) return `, said to show ${known.label}`;
  if (known.labels.length) return `, said to show ${known.labels.join(", ")}`;
  return known.values.length ? `, with ${known.values.join(", ")}` : "";
}

/** The data set to take samples from: that which the model was trained on, else one with pictures of its size. */
export async function datasetOf(model, datasets, signal) {
  if (model.training_job_id) {
    const job = await get(`v1/training-jobs/${encodeURIComponent(model.training_job_id)}`, {}, { signal }).catch(() => null);
    const found = datasets.find((one) => one.id === job?.dataset);
    if (found) return found.id;
  }
  const alike = datasets.find((one) => one.image_shape?.join() === model.input_shape.join());
  return (alike ?? datasets[0])?.id ?? null;
}
