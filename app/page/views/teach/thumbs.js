/** The pictures of a class, small: arrow keys go from one to the next, Delete removes, a click opens one. */
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { bytes, count } from "../../lib/words.js";
import { Dialog } from "../../parts/dialog.js";
import { LocalPicture } from "../../parts/picture.js";
import { fileOf, lesson, movePicture, removePictures } from "./lesson.js";
import { copy } from "./pictures.js";

const FIRST = 15;
const MORE = 60;

/** `of`: the class. At most a bounded number is drawn; a button shows more. */
export function Thumbs({ of }) {
  const [most, setMost] = useState(FIRST);
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(null);
  const list = useRef(null);
  // the newest first: what was just added is what somebody wants to see
  const shown = of.pictures.slice(-most).reverse();
  const current = Math.min(at, shown.length - 1);
  const focus = (place) => {
    setAt(place);
    requestAnimationFrame(() => list.current?.querySelectorAll("button")[place]?.focus());
  };
  const remove = (picture) => {
    removePictures(of, new Set([picture.id]));
    if (shown.length > 1) focus(Math.min(current, shown.length - 2));
    else list.current.closest("section").focus();
  };
  const key = (event) => {
    const columns = Math.max(1, Math.floor((list.current.clientWidth + 4) / 48));
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (by) {
      event.preventDefault();
      focus(Math.max(0, Math.min(shown.length - 1, current + by)));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      remove(shown[current]);
    }
  };
  const others = of.pictures.length - shown.length;
  return html`<div>
    <ul class="thumbs teach-thumbs" ref=${list} onKeyDown=${key} aria-label=${`Pictures of ${of.name}; Delete removes one`}>
      ${shown.map((picture, place) => html`<li key=${picture.id}>
        <button type="button" tabIndex=${place === current ? 0 : -1} onFocus=${() => setAt(place)} onClick=${() => setOpen(picture)}
          aria-label=${`${picture.name}, open`}><${Thumb} picture=${picture} /></button>
      </li>`)}
    </ul>
    ${others > 0 && html`<button type="button" class="plain" onClick=${() => setMost(most + MORE)}>+ ${others.toLocaleString("en")} more</button>`}
    ${open && html`<${Opened} of=${of} picture=${open} close=${() => setOpen(null)} remove=${() => { setOpen(null); remove(open); }} />`}
  </div>`;
}

function Thumb({ picture }) {
  const canvas = useRef(null);
  useEffect(() => {
    let gone = false;
    const draw = async () => {
      const small = await copy(picture.id, await fileOf(picture));
      if (gone) return;
      const side = Math.min(small.width, small.height);
      canvas.current.getContext("2d").drawImage(
        small, (small.width - side) / 2, (small.height - side) / 2, side, side, 0, 0, canvas.current.width, canvas.current.height,
      );
    };
    // what a browser cannot show stays empty; its name is on the button
    draw().catch(() => {});
    return () => (gone = true);
  }, [picture.id]);
  return html`<canvas ref=${canvas} width="88" height="88" aria-hidden="true"></canvas>`;
}

function Opened({ of, picture, close, remove }) {
  const [file, setFile] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    fileOf(picture).then(setFile, (error) => setProblem(error.message));
  }, [picture.id]);
  const others = lesson.classes.filter((one) => one !== of);
  return html`<${Dialog} title=${picture.name} close=${close}>
    <div class="stack">
      ${problem || (file && html`<${LocalPicture} file=${file} alt=${picture.name} class="opened" />`)}
      <p class="soft">${bytes(picture.size)}, in ${of.name}${picture.left && `; left out by the service: ${picture.left}`}</p>
      <div class="row">
        <button type="button" onClick=${remove}>Remove</button>
        ${others.map((one) => html`<button type="button" key=${one.id}
          onClick=${() => { movePicture(of, picture, one); close(); }}>Put into ${one.name}</button>`)}
      </div>
    </div>
  <//>`;
}

/** How many pictures a class has, and what was left out of it, in words. */
export function Counts({ of }) {
  const left = of.refused.length + of.refusedMore;
  return html`<div class="left-out" role="status">
    ${left > 0 && html`<details><summary>${count(left, "file")} left out</summary>
      <ul>${of.refused.map((one, at) => html`<li key=${at}><b>${one.name}</b> ${one.why}</li>`)}</ul>
      ${of.refusedMore > 0 && html`<p>and ${of.refusedMore.toLocaleString("en")} more</p>`}
    </details>`}
  </div>`;
}
