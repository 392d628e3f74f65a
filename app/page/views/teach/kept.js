/** What the browser keeps of Teach over a reload: the pictures and what was done with them, in IndexedDB. */

/** Pictures beyond this many bytes stay until the page is closed, and are not there after a reload. */
export const MOST_BYTES = 1_000_000_000;

let opening = null;

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("convserve-teach", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("files");
      request.result.createObjectStore("state");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  opening.catch(() => (opening = null));
  return opening;
}

async function change(store, work) {
  const opened = await database();
  return new Promise((resolve, reject) => {
    const transaction = opened.transaction(store, "readwrite");
    work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

async function read(store, ask) {
  const opened = await database();
  return new Promise((resolve, reject) => {
    const request = ask(opened.transaction(store).objectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Keep files: [{id, file}]. Throws when the browser has no room. */
export const keepFiles = (files) => change("files", (store) => files.forEach(({ id, file }) => store.put(file, id)));

/** Forget files by their ids. */
export const forgetFiles = (ids) => change("files", (store) => ids.forEach((id) => store.delete(id)));

/** The file of an id, undefined if it was not kept. */
export const keptFile = (id) => read("files", (store) => store.get(id));

/** The ids of all files that are kept, as a Set. */
export const keptIds = async () => new Set(await read("files", (store) => store.getAllKeys()));

/** Keep everything else, a plain object. */
export const keepState = (state) => change("state", (store) => store.put(state, "now"));

/** The object that was kept last, or undefined. */
export const keptState = () => read("state", (store) => store.get("now"));

/** Forget all. */
export async function forgetAll() {
  await change("files", (store) => store.clear());
  await change("state", (store) => store.clear());
}
