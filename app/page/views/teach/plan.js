/** What has to be sent so that the service has the pictures of the page: all, only what is new, or nothing. */
import { all } from "../../lib/api.js";
import { allPictures, lesson } from "./lesson.js";
import { isLarge } from "./pictures.js";

const FEWEST = 3;
const MOST_NAMED = 4;
const MOST_LETTERS = 100;
const MOST_LETTERS_OF_FILES = 200;

/** The name of a class as it is sent: without spaces around it, and of printable characters. */
export function label(of) {
  return of.name.normalize("NFC").replace(/[\p{C}\p{Z}]+/gu, " ").trim();
}

/** The classes that have pictures. */
export const filled = () => lesson.classes.filter((one) => one.pictures.length);

/** What is still missing before anything can be taught, in words; null when nothing is. */
export function missing() {
  const classes = filled();
  if (!classes.length) return "Begin with pictures: some of each thing that it should tell apart.";
  if (classes.some((one) => !label(one))) return "Give every class a name.";
  const names = classes.map(label);
  const twice = names.find((one, at) => names.indexOf(one) !== at);
  if (twice !== undefined) return `Two classes are called ${twice}: give one of them another name.`;
  if (classes.length === 1) return `${names[0]} alone cannot be told from anything: add pictures of something else to a second class.`;
  const short = classes.filter((one) => one.pictures.length < FEWEST);
  if (short.length) {
    const [first] = short;
    return `${label(first)} has ${first.pictures.length} of the ${FEWEST} pictures that a class needs at least; ten are a good beginning.`;
  }
  return null;
}

/** A name for what is taught, of those of the classes. */
export function title() {
  const names = filled().map(label);
  // models are named after their data set, and their aliases are asked for by a path: a slash would end the name in it
  const shown = (names.slice(0, MOST_NAMED).join(", ") + (names.length > MOST_NAMED ? " and others" : "")).replace(/[/\\]/g, "-");
  const letters = [...shown];
  return letters.length > MOST_LETTERS ? `${letters.slice(0, MOST_LETTERS - 3).join("").trim()}...` : shown;
}

/**
 * Compare the page with what was sent. {fresh: true} when all has to go; else what is `added`, [{picture, label}],
 * `moved`, [{id, label}], and `removed`, ids. Nobody can add a class to a data set, so another name means a new one.
 */
export function plan() {
  const now = new Map(allPictures().map(({ picture, of }) => [picture.id, { picture, label: label(of) }]));
  const taught = lesson.taught;
  const names = filled().map(label);
  const same = taught?.sent && taught.classes.length === names.length && names.every((one) => taught.classes.includes(one))
    && taught.asked === asked();
  if (!same) return { fresh: true, added: [...now.values()], moved: [], removed: [] };
  const sent = taught.sent;
  return {
    fresh: false,
    added: [...now.values()].filter(({ picture }) => !(picture.id in sent)),
    moved: [...now.values()].filter(({ picture, label: name }) => sent[picture.id] && sent[picture.id] !== name)
      .map(({ picture, label: name }) => ({ id: picture.id, label: name })),
    removed: Object.keys(sent).filter((id) => sent[id] && !now.has(id)),
  };
}

/** What was asked for of the pictures themselves: with another size they have to be read anew. */
export const asked = () => lesson.options.image_size ?? "";

/** How many pictures are made smaller before they are sent. */
export const madeSmaller = () => allPictures().filter(({ picture }) => picture.photo && isLarge(picture, asked())).length;

/** Was a picture with this content among those that the model of the page was taught with? */
export const isLearned = (hash) => Boolean(lesson.taught?.learned)
  && allPictures().some(({ picture }) => picture.hash === hash && lesson.taught.sent?.[picture.id] && !picture.left);

/** Is there anything that the model of the page has not learned yet? */
export function isNew() {
  const { fresh, added, moved, removed } = plan();
  return fresh || added.length + moved.length + removed.length > 0 || lesson.taught.corrected || !lesson.taught.learned;
}

/** The files of an archive that says by a table what each picture shows, so that classes can have any name. */
export function archive(entries, names) {
  const lines = entries.map(({ picture, label: name }) => [names[picture.id], name].map(quoted).join(","));
  const table = { name: "manifest.csv", content: ["file,label", ...lines, ""].join("\r\n") };
  return { table, paths: entries.map(({ picture }) => ({ name: names[picture.id], picture })) };
}

const quoted = (cell) => `"${cell.replaceAll('"', '""')}"`;

/**
 * The names of pictures in the data set, by their ids: those that their files came with, numbered only where there is
 * one of that name already, among them or among those that are `taken`.
 */
export function namesFor(pictures, taken = []) {
  const used = new Set(taken.map((one) => one.toLowerCase()));
  const names = {};
  for (const picture of pictures) {
    const [stem, ending] = parts(picture.name);
    let name = stem + ending;
    for (let number = 2; used.has(name.toLowerCase()); number += 1) name = `${stem} (${number})${ending}`;
    used.add(name.toLowerCase());
    names[picture.id] = name;
  }
  return names;
}

/** The stem and the ending of a file's name, without what an archive does not take: controls, folders, hidden files. */
function parts(given) {
  const name = given.normalize("NFC").replace(/\p{C}|[/\\:]/gu, "_").replace(/^[.~]/, "_");
  const [, stem, ending] = /^(.*?)(\.[^.]{1,5})?$/su.exec(name);
  return [[...stem].slice(0, MOST_LETTERS_OF_FILES).join("") || "picture", ending ?? ""];
}

/** The id of the picture that has a name in the data set, null if it is none of the page's. */
export function idOf(name) {
  const names = lesson.taught?.names ?? {};
  return Object.keys(names).find((id) => names[id] === name) ?? null;
}

/** The numbers in the data set of pictures of the page, by their ids. */
export async function numbers(dataset, ids, options) {
  const wanted = new Set(ids);
  const found = new Map();
  if (!wanted.size) return found;
  const idsOf = new Map(Object.entries(lesson.taught.names).map(([id, name]) => [name, id]));
  for (const one of await all(`v1/datasets/${dataset}/images`, {}, 1_000_000, options)) {
    const id = idsOf.get(one.name);
    if (wanted.has(id)) found.set(id, one);
  }
  return found;
}
