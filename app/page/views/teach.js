/** Teach: from pictures in classes to a model that tells them apart, and why it says what it says. */
import { get } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/html.js";
import { useLoaded } from "../lib/load.js";
import { count, duration } from "../lib/words.js";
import { Dialog } from "../parts/dialog.js";
import { dropped } from "../parts/drop.js";
import { Column } from "./teach/column.js";
import { take } from "./teach/incoming.js";
import { Learning } from "./teach/learning.js";
import { addClass, allPictures, lesson, startAnew, useLesson } from "./teach/lesson.js";
import { Options } from "./teach/options.js";
import { LEAN_HEIGHT } from "./teach/pictures.js";
import { filled, isNew, label, madeSmaller, missing } from "./teach/plan.js";
import { abandon, busy, cancel, correct, run, teach } from "./teach/run.js";
import { Served } from "./teach/served.js";
import { elsewhere, enter, takeOver } from "./teach/tabs.js";
import { forgetTried, Trying } from "./teach/trying.js";

/** `params.job`: a job that learns from what the service has, in place of the pictures of the page. */
export default function Teach({ params }) {
  return params.job ? html`<${Served} key=${params.job} id=${params.job} />` : html`<${Own} />`;
}

/** Teach with the pictures of the page. */
function Own() {
  useLesson();
  const [problem, setProblem] = useState("");
  const took = (files, into) => take(files, into).then(() => setProblem(""), (error) => setProblem(error.message));
  useEffect(() => {
    enter();
    const paste = (event) => {
      const files = [...event.clipboardData.files].filter((one) => one.type.startsWith("image/"));
      if (!files.length) return;
      event.preventDefault();
      took(files.map((file) => ({ file, path: file.name || "pasted.png" })));
    };
    // a file that misses the page's fields would replace the page
    const over = (event) => event.preventDefault();
    const drop = async (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault();
      took(await dropped(event.dataTransfer));
    };
    document.addEventListener("paste", paste);
    document.addEventListener("dragover", over);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("paste", paste);
      document.removeEventListener("dragover", over);
      document.removeEventListener("drop", drop);
    };
  }, []);
  if (!lesson.ready) {
    return html`<h1>Teach</h1>
      ${elsewhere.now && html`<div class="card stack elsewhere-tab" role="status">
        <p>Teach is open in another tab, with your pictures. Only one tab at a time goes on with them, so that none undoes what another does.</p>
        ${elsewhere.now.words && html`<p>${elsewhere.now.words}</p>`}
        <div><button type="button" class="primary" onClick=${takeOver}>Go on here</button></div>
      </div>`}`;
  }
  const add = () => {
    const { id } = addClass();
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector(`[data-class=${id}] .name`)?.focus()));
  };
  const model = lesson.taught?.model;
  return html`<div class="teach">
    <h1>Teach</h1>
    <p class="lead">Ten pictures of each thing are enough to begin. Drop a folder with a folder for each thing anywhere, or fill the classes one by one. Everything stays on this server.</p>
    ${lesson.full && html`<p class="bad" role="status">${lesson.full}</p>`}
    ${problem && html`<p class="bad" role="alert">${problem}</p>`}
    <div class="columns" role="group" aria-label="Classes">
      ${lesson.classes.map((of) => html`<${Column} key=${of.id} of=${of} />`)}
      <button type="button" class="add" onClick=${add}>Add a class</button>
    </div>
    <${Begin} />
    ${(model || busy() || run.problem || run.job) && html`<div class="row outcome">
      ${(busy() || run.problem || run.job) && html`<${Learning} run=${run} working=${busy()} stop=${cancel} again=${teach} correct=${correct} names=${lesson.classes.map(label)} />`}
      ${model && html`<${Trying} model=${model} own />`}
    </div>`}
  </div>`;
}

/** The one button, what it is about to do in words, and the options behind a fold. */
function Begin() {
  const [asking, setAsking] = useState(false);
  const [open, setOpen] = useState(false);
  const lacks = missing();
  const pictures = filled().reduce((sum, one) => sum + one.pictures.length, 0);
  const smaller = madeSmaller();
  const again = lesson.taught?.phase === "done" && lesson.taught.model;
  return html`<div class="begin">
    <div class="row">
      <button type="button" class="primary" disabled=${Boolean(lacks) || busy() || lesson.waiting > 0} onClick=${teach}>${again ? "Teach again" : "Teach"}</button>
      <p class="count what" role="status">${lesson.waiting > 0
        ? `Looking at ${count(lesson.waiting, "picture")} more`
        : lacks ?? html`${count(pictures, "picture")} of ${filled().length} classes${again && !isNew() ? ", all of them learned already" : html`<${Estimate} pictures=${pictures} />`}`}</p>
      ${(allPictures().length > 0 || lesson.taught) && html`<button type="button" class="plain anew" onClick=${() => setAsking(true)}>Start anew</button>`}
    </div>
    ${smaller > 0 && html`<p class="soft">${count(smaller, "photo")} of more than 1 MB ${smaller === 1 ? "is" : "are"} made ${LEAN_HEIGHT} pixels high before ${smaller === 1 ? "it is" : "they are"} sent: a network looks at even fewer.</p>`}
    <details onToggle=${(event) => setOpen(event.target.open)}><summary>From scratch, and all options</summary>
      ${open && html`<${Options} problem=${run.problem} />`}
    </details>
    ${asking && html`<${Dialog} title="Start anew?" close=${() => setAsking(false)}>
      <p>The page forgets all classes and pictures. What the server has been sent stays there: its data sets and models are in Watch.</p>
      <div class="row"><button type="button" class="primary" onClick=${() => { abandon(); forgetTried(); startAnew(); setAsking(false); }}>Forget them</button>
        <button type="button" onClick=${() => setAsking(false)}>Keep them</button></div>
    <//>`}
  </div>`;
}

/** How long it will take, by what the service has taught like it. */
function Estimate({ pictures }) {
  const jobs = useLoaded((signal) => get("v1/training-jobs", { status: "succeeded", limit: 20 }, { signal }), [lesson.taught?.job]);
  const { network, train } = lesson.options;
  if (network || train) return null;
  const like = (jobs.value?.data ?? []).filter((one) => one.train === "head" && one.started_at);
  if (!like.length) return null;
  const near = like.reduce((best, one) => (Math.abs(one.dataset_images - pictures) < Math.abs(best.dataset_images - pictures) ? one : best));
  const took = (new Date(near.finished_at) - new Date(near.started_at)) / 1000;
  return `, about ${duration(Math.max(1, Math.round(took * Math.max(1, pictures / near.dataset_images))))}`;
}
