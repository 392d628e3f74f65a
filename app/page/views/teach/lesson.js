/**
 * The lesson: classes with their pictures, and what was taught of them. It lives longer than the view, and all of it is
 * kept in the browser as it comes.
 */
import { useEffect, useState } from "../../lib/html.js";
import { bytes as inBytes, count } from "../../lib/words.js";
import { kept, keptFile, MOST_BYTES, Overtaken, write } from "./kept.js";

const REFUSED_NAMED = 50;

/** What is on the page. */
function fresh() {
  return {
    classes: [newClass(1), newClass(2)],
    made: 2,
    /** What the next run is asked for beyond the pictures; see options.js. */
    options: {},
    /** {dataset, job, model, sent, names, classes, phase}: what has become of the pictures at the service; see run.js. */
    taught: null,
    focused: "c1",
    /** How many pictures there were: their ids and their order come from it. */
    number: 0,
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
  /** Words about what the browser cannot keep. */
  full: "",
  /** Increased when all is begun anew, so that what was still being looked at is dropped. */
  round: 0,
};

const listeners = new Set();
let frame = 0;
let restoring = null;
/** Is what changes written? Not where what was kept could not be read, or is another tab's. */
let keeping = false;
let writing = null;
let unsaved = false;
let anew = false;
/** The ids of pictures that came, went, or are in another class than what is kept says. */
const touched = new Set();

/** Show what has changed; many changes become one. */
export function shown() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    listeners.forEach((listen) => listen());
  });
}

/** Show and keep what has changed. */
export function changed() {
  // what was dropped and not looked at yet would be lost: the browser asks whoever leaves
  if (lesson.waiting) addEventListener("beforeunload", ask);
  else removeEventListener("beforeunload", ask);
  shown();
  save();
}

function ask(event) {
  event.preventDefault();
}

/** Use the lesson in a component: it is drawn again when something changes. */
export function useLesson() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listen = () => draw((one) => one + 1);
    listeners.add(listen);
    return () => listeners.delete(listen);
  }, []);
  return lesson;
}

/** Keep what there is now: resolves when it would be there after a reload. One write at a time, what comes meanwhile is in the next. */
export function save() {
  unsaved = true;
  writing ??= (async () => {
    // the changes of one turn are one write
    await null;
    while (unsaved && keeping) {
      unsaved = false;
      await writeChanges();
    }
    writing = null;
  })();
  return writing;
}

async function writeChanges() {
  const ids = [...touched];
  const forget = anew;
  touched.clear();
  anew = false;
  const here = new Map(ids.length ? allPictures().map((one) => [one.picture.id, one]) : []);
  const files = fitting(ids.map((id) => here.get(id)?.picture).filter((one) => one && !one.kept), here);
  const there = ids.filter((id) => here.get(id)?.picture.kept || files.some((one) => one.id === id));
  try {
    await write({
      state: plainState(), files, anew: forget, gone: ids.filter((id) => !here.has(id)),
      pictures: there.map((id) => row(here.get(id))),
    });
    for (const picture of files) {
      picture.kept = true;
      // from now on it is what the browser has: the file may be changed or deleted where it came from
      delete picture.file;
    }
  } catch (error) {
    if (error instanceof Overtaken) {
      keeping = false;
      lesson.full = "Another tab has changed these pictures since. What is done here now is not kept: reload this page to go on with what the other tab has.";
      return shown();
    }
    lesson.full = "This browser has no more room. Pictures that were added last are gone after a reload; to teach them works all the same.";
    for (const picture of files) picture.unkept = true;
    // without those the rest may fit
    if (files.length) ids.forEach((id) => touched.add(id));
    unsaved = files.length > 0;
    anew = forget;
  }
  return shown();
}

/** Those of the files that the browser has room for, as far as the page knows. */
function fitting(pictures, here) {
  const found = [];
  let size = pictures.length ? [...here.values()].reduce((sum, one) => sum + (one.picture.kept ? one.picture.size : 0), 0) : 0;
  for (const picture of pictures.filter((one) => !one.unkept)) {
    size += picture.size;
    if (size > MOST_BYTES) {
      lesson.full = `This browser keeps ${inBytes(MOST_BYTES)} of pictures. Those beyond are gone after a reload; to teach them works all the same.`;
      break;
    }
    found.push(picture);
  }
  return found;
}

function plainState() {
  const { classes, made, options, taught, focused, number } = lesson;
  return { classes: classes.map(({ id, name, untouched }) => ({ id, name, untouched })), made, options, taught, focused, number };
}

function row({ picture: { file, kept: _, ...rest }, of }) {
  return { ...rest, of: of.id };
}

/** Bring back what was kept, once. */
export function restore() {
  restoring ??= (async () => {
    try {
      const { state, pictures, ids } = await kept();
      if (state) Object.assign(lesson, state, { classes: state.classes.map((one) => ({ ...newClass(0), ...one })) });
      for (const { of, ...picture } of pictures.sort((one, other) => one.order - other.order)) {
        if (ids.has(picture.id)) classOf(of)?.pictures.push({ ...picture, kept: true });
      }
      const lost = pictures.filter((one) => !ids.has(one.id));
      lost.forEach((one) => touched.add(one.id));
      if (lost.length) lesson.full = `This browser has lost ${count(lost.length, "picture")} that it kept: ${lost.slice(0, 5).map((one) => one.name).join(", ")}${lost.length > 5 ? " and others" : ""}.`;
      keeping = true;
    } catch (error) {
      const why = error?.message ? ` (${error.message})` : "";
      lesson.full = `What this browser keeps of this page cannot be read${why}. Reload to try it again: what is added now is not kept.`;
    }
    lesson.ready = true;
    shown();
  })();
  return restoring;
}

/** Keep the lesson and forget it here: another tab goes on with it. */
export async function close() {
  await save();
  keeping = false;
  restoring = null;
  touched.clear();
  Object.assign(lesson, fresh(), { ready: false, full: "" });
  shown();
}

/** The file of a picture, from memory or from what the browser has kept. */
export async function fileOf(picture) {
  const file = picture.file ?? (await keptFile(picture.id));
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
  classOf(id).pictures.forEach((one) => touched.add(one.id));
  lesson.classes = lesson.classes.filter((one) => one.id !== id);
  lesson.focused = lesson.classes[0]?.id ?? null;
  changed();
}

/** Give a class another name. */
export function nameClass(id, name) {
  Object.assign(classOf(id), { name, untouched: false });
  changed();
}

/** The number of the next picture: by it pictures are told apart and in order. */
export function nextNumber() {
  lesson.number += 1;
  return lesson.number;
}

/** Put pictures that were looked at into a class, behind the others. */
export function putPictures(of, pictures) {
  of.pictures = [...of.pictures, ...pictures];
  of.untouched = false;
  pictures.forEach((one) => touched.add(one.id));
  changed();
}

/** Take pictures out of their class. */
export function removePictures(of, ids) {
  of.pictures = of.pictures.filter((one) => !ids.has(one.id));
  ids.forEach((id) => touched.add(id));
  changed();
}

/** Put a picture of one class into another. */
export function movePicture(of, picture, to) {
  of.pictures = of.pictures.filter((one) => one.id !== picture.id);
  picture.order = nextNumber();
  putPictures(to, [picture]);
}

/** Begin anew: everything on the page is forgotten, what the service has stays. */
export async function startAnew() {
  Object.assign(lesson, fresh(), { waiting: 0, full: "", round: lesson.round + 1 });
  touched.clear();
  anew = true;
  await save();
  changed();
}

/** Say that a file was left out of a class, and why. */
export function refuse(of, name, why) {
  if (of.refused.length < REFUSED_NAMED) of.refused = [...of.refused, { name, why }];
  else of.refusedMore += 1;
}

/** Say that the service has left out a picture: it stays where it is, and is not sent again. */
export function leaveOut(id, reason) {
  const found = allPictures().find((one) => one.picture.id === id);
  if (!found || found.picture.left) return;
  found.picture.left = reason;
  touched.add(id);
  refuse(found.of, found.picture.name, `was left out by the service: ${reason}`);
  changed();
}
