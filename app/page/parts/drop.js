/** Where pictures come in: dropped files and folders, a file dialog, or the clipboard. */
import { html, useRef, useState } from "../lib/html.js";

/** All files of a drop, those in folders too, as [{file, path}]; the path begins with the folder's name. */
export async function dropped(transfer) {
  // entries have to be taken before the first wait: the browser empties the list after the event
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await collect(entry, entry.name, found);
  return found;
}

async function collect(entry, path, found) {
  if (entry.isFile) {
    found.push({ file: await new Promise((done, failed) => entry.file(done, failed)), path });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // a reader gives at most a hundred at a time, and none when it is done
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) await collect(one, `${path}/${one.name}`, found);
  }
}

/**
 * `take(files)` gets [{file, path}]; `words` say what may be dropped; `folders` offers a whole folder, too; `brief` where
 * there is little room for buttons. */
export function Drop({ take, words, accept = "image/*", multiple = true, folders = false, brief = false, children }) {
  const [over, setOver] = useState(false);
  const files = useRef(null);
  const folder = useRef(null);
  const chosen = (event) => {
    take([...event.target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
    event.target.value = "";
  };
  const drop = async (event) => {
    event.preventDefault();
    setOver(false);
    take(await dropped(event.dataTransfer));
  };
  return html`<div class=${over ? "drop over" : "drop"}
    onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
    onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <span>${words}</span>
    <div class="row" style=${{ gap: "8px", justifyContent: "center" }}>
      <button type="button" onClick=${() => files.current.click()}>${brief ? "Files ..." : multiple ? "Choose files" : "Choose a file"}</button>
      ${folders && html`<button type="button" onClick=${() => folder.current.click()}>${brief ? "Folder ..." : "Choose a folder"}</button>`}
      ${children}
    </div>
    <input ref=${files} type="file" hidden accept=${accept} multiple=${multiple} onChange=${chosen} />
    ${folders && html`<input ref=${folder} type="file" hidden webkitdirectory onChange=${chosen} />`}
  </div>`;
}
