/**
 * The lesson: classes with their pictures, and what was taught of them. It lives longer than the view, and is kept
 * in the browser over a reload.
 */
import { useEffect, useState } from "../../lib/html.js";
import { bytes as inBytes } from "../../lib/words.js";
import * as kept from "./kept.js";
import { fault, fingerprint, idle } from "./pictures.js";

const AT_ONCE = 4;
const SLICE = 16;
const SAVE_AFTER_MS = 200;
const REFUSED_NAMED = 50;

/** What is on the page. `sent`: what the data set has, by picture id the name of its class. */
function fresh() {
  return {
    classes: [newClass(1), newClass(2)],
    made: 2,
    /** What the next run is asked for beyond the pictures; see options.js. */
    options: {},
    /** {dataset, job, model, sent, classes, phase}: what has become of the pictures at the service. */
    taught: null,
  };
}

function newClass(number) {
  return { id: `c${number}`, name: `Class ${number}`, untouched: true, pictures: [], refused: [], refusedMore: 0 };
}

export const lesson = {
  ...fresh(),
  ready: false,
  /** How many pictures are still being looked at. */
  waiting: 0,
  /** Words about the browser's memory, when it has no more room. */
  full: "",
  focused: "c1",
};

const listeners = new Set();
let frame = 0;
let saving = 0;
let number = 0;
let keptBytes = 0;
let line = Promise.resolve();
/** Increased when all is begun anew, so that what was still being looked at is dropped. */
let round = 0;

/** Show and keep what has changed; many changes become one. */
export function changed() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    listeners.forEach((listen) => listen());
  });
  if (!lesson.ready) return;
  clearTimeout(saving);
  saving = setTimeout(save, SAVE_AFTER_MS);
}

function save() {
  const { classes, made, options, taught, focused } = lesson;
  const written = classes.map(({ pictures, refused, refusedMore, ...rest }) => ({
    ...rest,
    pictures: pictures.filter((one) => one.kept).map(({ file, ...picture }) => picture),
  }));
  return kept.keepState({ classes: written, made, options, taught, focused, number }).catch(noRoom);
}

function noRoom() {
  lesson.full = "This browser has no more room. Pictures that were added last are gone after a reload; to teach them works all the same.";
  changed();
}

/** Use the lesson in a component: it is drawn again when something changes. */
export function useLesson() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listen = () => draw((one) => one + 1);
    listeners.add(listen);
    restore();
    return () => listeners.delete(listen);
  }, []);
  return lesson;
}

/** Keep what there is now, without waiting for more changes. */
export function keepNow() {
  clearTimeout(saving);
  return save();
}

let restoring = null;

/** Bring back what was kept, once. */
export function restore() {
  restoring ??= (async () => {
    try {
      const [state, ids] = await Promise.all([kept.keptState(), kept.keptIds()]);
      if (state) {
        number = state.number;
        const classes = state.classes.map((one) => ({
          ...one, refused: [], refusedMore: 0, pictures: one.pictures.filter((picture) => ids.has(picture.id)),
        }));
        Object.assign(lesson, state, { classes });
        const used = new Set(classes.flatMap((one) => one.pictures.map((picture) => picture.id)));
        keptBytes = classes.flatMap((one) => one.pictures).reduce((sum, one) => sum + one.size, 0);
        await kept.forgetFiles([...ids].filter((id) => !used.has(id)));
      }
    } catch {
      lesson.full = "This browser keeps nothing of this page (a private window?): after a reload the pictures are gone.";
    }
    lesson.ready = true;
    changed();
  })();
  return restoring;
}

/** The file of a picture, from memory or from what the browser has kept. */
export async function fileOf(picture) {
  const file = picture.file ?? (await kept.keptFile(picture.id));
  if (!file) throw new Error(`${picture.name} is not there any more. Remove it, and add it again.`);
  return file;
}

/** A class by its id. */
const classOf = (id) => lesson.classes.find((one) => one.id === id);

/** All pictures of all classes, as [{picture, of}]. */
export const allPictures = () => lesson.classes.flatMap((of) => of.pictures.map((picture) => ({ picture, of })));

/** Add a class, perhaps with a name, and return it. */
export function addClass(name) {
  lesson.made += 1;
  const added = newClass(lesson.made);
  if (name) Object.assign(added, { name, untouched: false });
  lesson.classes = [...lesson.classes, added];
  lesson.focused = added.id;
  changed();
  return added;
}

/** Remove a class with its pictures. */
export function removeClass(id) {
  const pictures = classOf(id).pictures;
  lesson.classes = lesson.classes.filter((one) => one.id !== id);
  lesson.focused = lesson.classes[0]?.id ?? null;
  forget(pictures);
  changed();
}

/** Give a class another name. */
export function nameClass(id, name) {
  Object.assign(classOf(id), { name, untouched: false });
  changed();
}

/** Take pictures out of their class. */
export function removePictures(of, ids) {
  const gone = of.pictures.filter((one) => ids.has(one.id));
  of.pictures = of.pictures.filter((one) => !ids.has(one.id));
  forget(gone);
  changed();
}

/** Put a picture of one class into another. */
export function movePicture(of, picture, to) {
  of.pictures = of.pictures.filter((one) => one.id !== picture.id);
  to.pictures = [...to.pictures, picture];
  to.untouched = false;
  changed();
}

function forget(pictures) {
  const ids = pictures.filter((one) => one.kept).map((one) => one.id);
  keptBytes -= pictures.reduce((sum, one) => sum + (one.kept ? one.size : 0), 0);
  if (ids.length) kept.forgetFiles(ids).catch(() => {});
}

/** Begin anew: everything on the page is forgotten, what the service has stays. */
export async function startAnew() {
  round += 1;
  clearTimeout(saving);
  Object.assign(lesson, fresh(), { waiting: 0, full: "", focused: "c1" });
  keptBytes = 0;
  await kept.forgetAll().catch(() => {});
  changed();
}

/** Say that a file was left out of a class, and why. */
export function refuse(of, name, why) {
  if (of.refused.length < REFUSED_NAMED) of.refused = [...of.refused, { name, why }];
  else of.refusedMore += 1;
}

/**
 * Add files to a class: [{file, path}], with `open()` in place of `file` for those of an archive. Each is looked at first; what is no picture or there already is left out
 * with words. Resolves when all were looked at.
 */
export async function addPictures(of, files) {
  if (!files.length) return;
  const mine = round;
  of.untouched = false;
  lesson.waiting += files.length;
  changed();
  // one after the other, so that a bounded number is decoded at once
  const before = line;
  let done;
  line = new Promise((resolve) => (done = resolve));
  await before;
  try {
    await addSlices(of, files, mine);
  } finally {
    done();
  }
}

async function addSlices(of, files, mine) {
  for (let at = 0; at < files.length && mine === round; at += SLICE) {
    const slice = files.slice(at, at + SLICE);
    const looked = [];
    const queue = [...slice];
    const worker = async () => {
      while (queue.length) looked.push(await look(queue.shift()));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (mine !== round) return;
    const taken = [];
    for (const { picture, why } of looked.sort((one, other) => one.order - other.order)) {
      const reason = why ?? twin(of, picture);
      if (reason) {
        refuse(of, picture.name, reason);
      } else {
        of.pictures = [...of.pictures, picture];
        taken.push(picture);
      }
    }
    lesson.waiting -= slice.length;
    await keep(taken);
    changed();
    await idle();
  }
}

async function look({ file: given, open, path }) {
  number += 1;
  const order = number;
  const name = path.split("/").pop();
  const picture = { id: `p${order}`, name, kept: false };
  try {
    const file = given ?? (await open());
    Object.assign(picture, { file, size: file.size });
    picture.hash = await fingerprint(file);
    return { order, picture, why: await fault(picture.id, file, name) };
  } catch {
    return { order, picture, why: given ? "cannot be read: it may have been moved or deleted" : "cannot be unpacked" };
  }
}

function twin(of, { hash }) {
  const found = allPictures().find((one) => one.picture.hash === hash);
  if (!found) return null;
  return found.of === of ? "is there already" : `is in ${found.of.name} already`;
}

async function keep(taken) {
  const fitting = [];
  for (const picture of taken) {
    if (keptBytes + picture.size > kept.MOST_BYTES) {
      lesson.full = `This browser keeps ${inBytes(kept.MOST_BYTES)} of pictures. Those beyond are gone after a reload; to teach them works all the same.`;
      break;
    }
    keptBytes += picture.size;
    fitting.push(picture);
  }
  try {
    await kept.keepFiles(fitting);
    for (const picture of fitting) picture.kept = true;
  } catch {
    noRoom();
  }
}
