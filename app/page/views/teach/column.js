/** A class as a column: its name, its pictures, and all the ways in which more of them come. */
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { count } from "../../lib/words.js";
import { Drop, dropped } from "../../parts/drop.js";
import { ELSEWHERE, possible, useCamera } from "../../parts/camera.js";
import { addPictures } from "./adding.js";
import { take } from "./incoming.js";
import { lesson, nameClass, removeClass } from "./lesson.js";
import { Counts, Thumbs } from "./thumbs.js";

const EVERY_MS = 250;

/** `of`: the class; it is drawn anew with the lesson. */
export function Column({ of }) {
  const [over, setOver] = useState(false);
  const [sure, setSure] = useState(false);
  const drop = async (event) => {
    setOver(false);
    // its own box has taken them
    if (event.defaultPrevented) return;
    event.preventDefault();
    await take(await dropped(event.dataTransfer), of);
  };
  const remove = () => {
    if (of.pictures.length && !sure) return setSure(true);
    removeClass(of.id);
    // the focus would be lost with the column
    return document.querySelector(".columns > .add").focus();
  };
  return html`<section class=${over ? "card column over" : "card column"} tabIndex="-1" aria-label=${`Class ${of.name}`} data-class=${of.id}
    onfocusin=${() => (lesson.focused = of.id)} onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
    onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <header>
      <input class="quiet name" aria-label="Name of the class" maxlength="100" value=${of.name} onInput=${(event) => nameClass(of.id, event.target.value)}
        onFocus=${(event) => of.untouched && event.target.select()} />
      <span class="count" role="status">${count(of.pictures.length, "picture")}</span>
      <button type="button" class="plain" aria-label=${sure ? `Remove ${of.name} with its pictures` : `Remove ${of.name}`}
        onClick=${remove} onBlur=${() => setSure(false)}>${sure ? "Remove all?" : "✕"}</button>
    </header>
    <${Thumbs} of=${of} />
    <${Counts} of=${of} />
    <${Drop} take=${(files) => take(files, of)} folders brief accept="image/*,.zip" words="Drop or paste pictures here" />
    <${Recorder} of=${of} />
  </section>`;
}

function Recorder({ of }) {
  const camera = useCamera();
  const held = useRef(null);
  const begin = (event) => {
    if (held.current || event.repeat) return;
    // to record is to be in this class: what is pasted next goes there too
    lesson.focused = of.id;
    camera.start();
    const shoot = async () => {
      const file = await camera.grab();
      if (file) await addPictures(of, [{ file, path: file.name }]);
    };
    held.current = setInterval(shoot, EVERY_MS);
  };
  const end = () => {
    clearInterval(held.current);
    held.current = null;
    camera.stop();
  };
  useEffect(() => end, []);
  const isKey = (event) => event.key === " " || event.key === "Enter";
  if (!possible()) return html`<p class="soft elsewhere">${ELSEWHERE}.</p>`;
  return html`<div class="recorder">
    <video ref=${camera.video} muted playsinline hidden=${!camera.on} aria-label=${`What the camera sees, for ${of.name}`}></video>
    <button type="button" class=${camera.on ? "recording" : ""} onPointerDown=${(event) => { event.target.setPointerCapture(event.pointerId); begin(event); }}
      onPointerUp=${end} onPointerCancel=${end} onContextMenu=${(event) => event.preventDefault()}
      onKeyDown=${(event) => isKey(event) && (event.preventDefault(), begin(event))} onKeyUp=${(event) => isKey(event) && end()} onBlur=${end}>
      ${camera.on ? "Recording: let go to stop" : "Hold to record"}</button>
    ${camera.problem && html`<p class="bad" role="alert">${camera.problem}</p>`}
  </div>`;
}
