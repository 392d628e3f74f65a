/** What is dropped, chosen or pasted: sorted into classes by its folders, archives opened. */
import { entries, isZip } from "../../lib/zip.js";
import { addClass, addPictures, changed, lesson, nameClass, refuse, removeClass } from "./lesson.js";
import { looksLikePicture } from "./pictures.js";

/** Files of a picture in an archive are not made larger than this by unpacking. */
const LARGEST = 200_000_000;

/**
 * Take files, [{file, path}]. Those of one folder, or of none, go into `into`; several folders become classes with
 * their names. Without `into`, one folder becomes a class too, and loose pictures go where the person was last.
 */
export async function take(files, into = null) {
  const { found, broken } = await opened(files);
  const groups = new Map();
  for (const one of found) {
    const folder = one.path.split("/").at(-2) ?? "";
    if (!groups.has(folder)) groups.set(folder, []);
    groups.get(folder).push(one);
  }
  const named = [...groups.keys()].filter(Boolean);
  const loose = groups.get("") ?? [];
  const work = [];
  if (named.length === 1 && into && !loose.length) {
    if (into.untouched) nameClass(into.id, named[0].slice(0, 100));
    work.push(addPictures(into, groups.get(named[0])));
  } else {
    if (named.length > 1) clear(into);
    for (const folder of named) work.push(addPictures(called(folder.slice(0, 100)), groups.get(folder)));
    if (loose.length) work.push(addPictures(into && lesson.classes.includes(into) ? into : place(), loose));
  }
  const place_ = into && lesson.classes.includes(into) ? into : place();
  for (const { name, why } of broken) refuse(place_, name, why);
  changed();
  await Promise.all(work);
}

/** Where loose pictures go: the class that was used last. */
export function place() {
  return lesson.classes.find((one) => one.id === lesson.focused) ?? lesson.classes[0] ?? addClass();
}

function called(name) {
  const found = lesson.classes.find((one) => one.name === name);
  if (found) return found;
  const empty = lesson.classes.find((one) => one.untouched && !one.pictures.length);
  if (!empty) return addClass(name);
  nameClass(empty.id, name);
  return empty;
}

/** Folders become classes: columns that nobody has used yet are theirs, and none stays over. */
function clear(into) {
  const free = lesson.classes.filter((one) => one.untouched && !one.pictures.length && one !== into);
  for (const one of free.slice(1)) removeClass(one.id);
}

async function opened(files) {
  const found = [];
  const broken = [];
  for (const { file, path } of files) {
    if (isZip(file)) {
      try {
        for (const entry of await entries(file)) {
          if (looksLikePicture(entry.path) && entry.size <= LARGEST) found.push({ path: entry.path, file: await unpacked(entry) });
        }
      } catch (error) {
        broken.push({ name: file.name, why: error.message });
      }
    } else if (looksLikePicture(path, file.type)) {
      found.push({ file, path });
    } else if (files.length === 1 || !/(^|\/)\./.test(path)) {
      broken.push({ name: path.split("/").pop(), why: "is no picture" });
    }
  }
  return { found, broken };
}

async function unpacked(entry) {
  return new File([await entry.open()], entry.path.split("/").pop());
}
