/** What is dropped, chosen or pasted: sorted into classes by its folders, archives opened. */
import { entries, isZip } from "../../lib/zip.js";
import { addPictures } from "./adding.js";
import { addClass, changed, lesson, nameClass, refuse, removeClass } from "./lesson.js";
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
  const loose = groups.get("") ?? [];
  groups.delete("");
  const work = [];
  if (groups.size === 1 && into && !loose.length) {
    const [[folder, inside]] = groups;
    if (into.untouched) nameClass(into.id, shortened(folder));
    work.push(addPictures(into, inside));
  } else {
    for (const [folder, inside] of [...groups].sort(byName)) work.push(addPictures(called(shortened(folder)), inside));
    if (loose.length) work.push(addPictures(into ?? place(), loose));
    // columns that nobody has used are not left over beside those of folders
    if (groups.size > 1) lesson.classes.filter((one) => one.untouched && !one.pictures.length).forEach((one) => removeClass(one.id));
  }
  const told = lesson.classes.includes(into) ? into : place();
  for (const { name, why } of broken) refuse(told, name, why);
  changed();
  await Promise.all(work);
}

const byName = ([one], [other]) => one.localeCompare(other, undefined, { numeric: true });
const shortened = (name) => name.slice(0, 100);

/** Where loose pictures go: the class that was used last. */
function place() {
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

async function opened(files) {
  const found = [];
  const broken = [];
  for (const { file, path } of files) {
    if (isZip(file)) {
      try {
        for (const entry of await entries(file)) {
          if (looksLikePicture(entry.path) && entry.size <= LARGEST) found.push({ path: entry.path, open: () => unpacked(entry) });
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
  const name = entry.path.split("/").pop();
  return new File([await entry.open()], name, { type: /\.jpe?g$/i.test(name) ? "image/jpeg" : "" });
}
