/** Files become pictures of a class: each is looked at first; what is no picture, or there already, is left out with words. */
import { allPictures, changed, lesson, nextNumber, putPictures, refuse, save } from "./lesson.js";
import { fault, fingerprint, idle, isPhoto } from "./pictures.js";

const AT_ONCE = 4;
const SLICE = 16;

let line = Promise.resolve();

/**
 * Add files to a class: [{file, path}], with `open()` in place of `file` for those of an archive. Resolves when all were
 * looked at and are kept.
 */
export async function addPictures(of, files) {
  if (!files.length) return;
  const { round } = lesson;
  of.untouched = false;
  lesson.waiting += files.length;
  changed();
  // one after the other, so that a bounded number is decoded at once
  const before = line;
  let done;
  line = new Promise((resolve) => (done = resolve));
  await before;
  try {
    await addSlices(of, files, round);
  } finally {
    done();
  }
}

async function addSlices(of, files, round) {
  for (let at = 0; at < files.length && round === lesson.round; at += SLICE) {
    const slice = files.slice(at, at + SLICE);
    const looked = [];
    const queue = [...slice];
    const worker = async () => {
      while (queue.length) looked.push(await look(queue.shift()));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (round !== lesson.round) return;
    for (const { picture, why } of looked.sort((one, other) => one.picture.order - other.picture.order)) {
      const reason = why ?? twin(of, picture);
      if (reason) refuse(of, picture.name, reason);
      else putPictures(of, [picture]);
    }
    // what is not waited for any more is there after a reload
    await save();
    if (round !== lesson.round) return;
    lesson.waiting -= slice.length;
    changed();
    await idle();
  }
}

async function look({ file: given, open, path }) {
  const order = nextNumber();
  const name = path.split("/").pop();
  const picture = { id: `p${order}`, order, name, kept: false };
  try {
    const file = given ?? (await open());
    Object.assign(picture, { file, size: file.size, photo: isPhoto(file) });
    picture.hash = await fingerprint(file);
    return { picture, why: await fault(picture.id, file, name) };
  } catch {
    return { picture, why: given ? "cannot be read: it may have been moved or deleted" : "cannot be unpacked" };
  }
}

function twin(of, { hash }) {
  const found = allPictures().find((one) => one.picture.hash === hash);
  if (!found) return null;
  return found.of === of ? "is there already" : `is in ${found.of.name} already`;
}
