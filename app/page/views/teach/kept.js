/** What the browser keeps of Teach over a reload: the pictures and what was done with them, in IndexedDB. */

/** Pictures beyond this many bytes stay until the page is closed, and are not there after a reload. */
export const MOST_BYTES = 1_000_000_000;

const STORES = ["pictures", "files", "state"];
const NOW = "now";

/** What a write fails with when another tab has written since this one has read. */
export class Overtaken extends Error {}

let opening = null;
/** The number of the last write that this tab knows of. */
let revision = 0;

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(`convserve-teach ${new URL(document.baseURI).pathname}`, 1);
    request.onupgradeneeded = () => STORES.forEach((name) => request.result.createObjectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  opening.catch(() => (opening = null));
  return opening;
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Everything but the files: {state, pictures, ids}; `state` is undefined when there is none, `ids` are those of files. */
export async function kept() {
  const transaction = (await database()).transaction(STORES);
  const [now, pictures, ids] = await Promise.all([
    answer(transaction.objectStore("state").get(NOW)),
    answer(transaction.objectStore("pictures").getAll()),
    answer(transaction.objectStore("files").getAllKeys()),
  ]);
  revision = now?.revision ?? 0;
  return { state: now?.state, pictures, ids: new Set(ids) };
}

/**
 * Keep all of this, or nothing: the `state`, `pictures` as rows with an id, `files` as [{id, file}]; what `gone` names is
 * forgotten, and with `anew` everything that was there. Resolves when it would be there after a reload.
 */
export async function write({ state, pictures = [], files = [], gone = [], anew = false }) {
  const opened = await database();
  return new Promise((resolve, reject) => {
    const transaction = opened.transaction(STORES, "readwrite");
    const [rows, contents, states] = STORES.map((name) => transaction.objectStore(name));
    let overtaken = null;
    const change = ({ target: { result: before } }) => {
      if ((before?.revision ?? 0) !== revision) {
        overtaken = new Overtaken();
        return transaction.abort();
      }
      if (anew) [rows, contents].forEach((store) => store.clear());
      gone.forEach((id) => [rows, contents].forEach((store) => store.delete(id)));
      files.forEach(({ id, file }) => contents.put(file, id));
      pictures.forEach((row) => rows.put(row, row.id));
      states.put({ revision: revision + 1, state }, NOW);
      return transaction.commit();
    };
    states.get(NOW).onsuccess = change;
    transaction.oncomplete = () => resolve((revision += 1));
    transaction.onabort = () => reject(overtaken ?? transaction.error);
  });
}

/** The file of an id, undefined if it was not kept. */
export async function keptFile(id) {
  return answer((await database()).transaction("files").objectStore("files").get(id));
}
