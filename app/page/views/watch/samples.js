/** Pictures of a data set: some of each class, all in pages, and what was corrected. */
import { get, send } from "../../lib/api.js";
import { html, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { go, link } from "../../lib/router.js";
import { count, precise, when } from "../../lib/words.js";
import { Picture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { Typed } from "../../parts/typed.js";
import { usePages } from "./live.js";
import { Pictures, pathOf } from "./pictures.js";

const EACH = 8;
const CLASSES = 20;
const PAGE = 36;

/** Some pictures of each class or label; of a value those from its least to its greatest. */
export function Samples({ one, path }) {
  const [first, setFirst] = useState(0);
  const loaded = useLoaded((signal) => get(`${path}/samples`, { per_class: EACH, first_class: first || null }, { signal, accept: "application/json" }), [path, first, one.revision]);
  const most = Math.max(1, ...one.classes.map((each) => each.images));
  const rows = loaded.value?.data.slice(0, CLASSES) ?? [];
  const step = rows.length || CLASSES;
  return html`<section class="card" aria-label="Samples"><h2>${one.target === "class" ? "Its classes" : one.target === "labels" ? "Its labels" : "Its values, from the least to the greatest"}</h2>
    <${ProblemBox} problem=${loaded.problem} again=${loaded.again} />
    <ul class="samples-of">${rows.map((each) => html`<li key=${each.name}>
      <span class="of">${one.target === "values" ? each.name : html`<a href=${link("watch", { dataset: one.id, label: each.name })}>${each.name}</a>`}
        <span class="track" aria-hidden="true"><i style=${{ width: `${(100 * each.images) / most}%` }}></i></span><small>${count(each.images, "picture")}</small></span>
      <span class="thumbs">${each.pictures.map((picture) => html`<${Picture} key=${picture.number} path=${pathOf(picture)} query=${{ size: 64 }} class="pixels" width="44" height="44" loading="lazy" alt=${`${each.name}, number ${picture.number}`} />`)}</span>
    </li>`)}</ul>
    ${one.classes.length > step && html`<div class="row"><button type="button" disabled=${first === 0} onClick=${() => setFirst(Math.max(0, first - step))}>Before</button>
      <span class="soft">${first + 1} to ${Math.min(first + step, one.classes.length)} of ${one.classes.length}</span>
      <button type="button" disabled=${first + step >= one.classes.length} onClick=${() => setFirst(first + step)}>After</button></div>`}
  </section>`;
}

/** What a picture is said to show, in words. */
function shown(picture, classes) {
  const said = picture.label ?? (picture.values.length ? picture.values.map((value, at) => `${classes[at]?.name} ${precise(value)}`).join(", ") : picture.labels.join(", ") || "no label");
  return picture.excluded ? `${said}, left out` : said;
}

/** All pictures, page by page, narrowed by class, split or name; each can be corrected. */
export function All({ one, path, params, changed }) {
  const query = { label: params.label, split: params.split, excluded: params.excluded, name: params.file };
  const list = usePages((after, signal) => get(`${path}/images`, { ...query, limit: PAGE, after }, { signal }), [path, JSON.stringify(query)]);
  const set = (changes) => go("watch", { ...params, ...changes }, { replace: true });
  return html`<section class="card" aria-label="All pictures"><h2>All pictures</h2>
    <div class="row filters">
      ${one.target !== "values" && html`<label class="field"><span>${one.target === "class" ? "Class" : "Label"}</span><select value=${params.label ?? ""} onChange=${(event) => set({ label: event.target.value })}>
        <option value="">All</option>${one.classes.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></label>`}
      <label class="field"><span>Split</span><select value=${params.split ?? ""} onChange=${(event) => set({ split: event.target.value })}>
        <option value="">All</option>${["train", "dev", "test"].map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>
      <label class="field"><span>Left out</span><select value=${params.excluded ?? ""} onChange=${(event) => set({ excluded: event.target.value })}>
        <option value="">All</option><option value="true">only left out</option><option value="false">not left out</option></select></label>
      <label class="field"><span>Name of the file</span><${Typed} type="search" value=${params.file ?? ""} set=${(file) => set({ file })} /></label>
    </div>
    <${Pictures} pictures=${list.rows} label="All pictures" size=${56} words=${(picture) => shown(picture, one.classes)}
      open=${(picture) => html`<${Correct} key=${picture.number} picture=${picture} one=${one} changed=${() => { list.again(); changed(); }} />`} />
    ${!list.rows.length && !list.busy && !list.problem && html`<p class="soft">No picture is like that.</p>`}
    <${ProblemBox} problem=${list.problem} again=${list.again} />
    ${list.more && html`<button type="button" class="plain" onClick=${list.more}>Show more</button>`}
  </section>`;
}

/** Put a picture into another class, leave it out, or put it back. */
function Correct({ picture, one, changed }) {
  const [now, setNow] = useState(picture);
  const [problem, setProblem] = useState(null);
  const newest = useRef(picture);
  const line = useRef(Promise.resolve());
  // one call after the other, each made of what the one before has left: quick clicks undo none of each other
  const make = (how) => (line.current = line.current.then(async () => {
    const before = newest.current;
    const change = how(before);
    try {
      await send("PATCH", pathOf(picture), change);
    } catch (fault) {
      return setProblem(fault);
    }
    const values = before.values.map((value, at) => change.values?.[one.classes[at].name] ?? value);
    newest.current = { ...before, ...change, values, uploaded_label: before.uploaded_label ?? (change.label === undefined ? null : before.label) };
    setNow(newest.current);
    setProblem(null);
    return changed();
  }));
  const toggle = (name) => make(({ labels }) => ({ labels: labels.includes(name) ? labels.filter((each) => each !== name) : [...labels, name] }));
  return html`<div class="stack">
    <p class="soft">${picture.split}${now.uploaded_label && now.uploaded_label !== now.label ? `; it came as ${now.uploaded_label}` : ""}${now.excluded ? "; left out of what is taught from now on" : ""}</p>
    <div class="row">
      ${one.target === "class" && html`<label class="field"><span>Class</span><select value=${now.label} onChange=${({ target: { value } }) => make(() => ({ label: value }))}>
        ${one.classes.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></label>`}
      <button type="button" class="low" onClick=${() => make(({ excluded }) => ({ excluded: !excluded }))}>${now.excluded ? "Put it back" : "Leave it out"}</button>
    </div>
    ${one.target === "labels" && html`<fieldset><legend>Labels</legend>${one.classes.map((each) => html`<label key=${each.name} class="tick"><input type="checkbox" checked=${now.labels.includes(each.name)} onChange=${() => toggle(each.name)} /> ${each.name}</label>`)}</fieldset>`}
    ${one.target === "values" && html`<div class="row">${one.classes.map((each, at) => html`<label key=${each.name} class="field"><span>${each.name}</span>
      <${Typed} type="number" step="any" value=${now.values[at]} set=${(text) => text && make(() => ({ values: { [each.name]: Number(text) } }))} /></label>`)}</div>`}
    <${ProblemBox} problem=${problem} />
  </div>`;
}

/** What was corrected, the newest first. */
export function Corrected({ path, revision }) {
  const list = usePages((after, signal) => get(`${path}/corrections`, { limit: 20, after }, { signal }), [path, revision]);
  return html`<section class="card" aria-label="Corrections"><h2>Corrections</h2>
    <ul class="files">${list.rows.map((each) => html`<li key=${each.revision}><b>${when(each.created_at)}</b> ${each.pictures.slice(0, 20).map(correction).join("; ")}${each.pictures.length > 20 ? ` and ${each.pictures.length - 20} more` : ""}</li>`)}</ul>
    <${ProblemBox} problem=${list.problem} again=${list.again} />
    ${list.more && html`<button type="button" class="plain" onClick=${list.more}>Show more</button>`}
  </section>`;
}

function correction(one) {
  const name = one.name ?? `number ${one.number}`;
  const said = [
    one.label !== null && `is ${one.label} and not ${one.label_before}`,
    one.labels !== null && `has ${one.labels.join(", ") || "no labels"}`,
    one.values !== null && `has ${Object.entries(one.values).map(([value, number]) => `${value} ${precise(number)}`).join(", ")}`,
    one.excluded !== null && (one.excluded ? "left out" : "put back"),
  ].filter(Boolean);
  return `${name} ${said.join(", ")}`;
}
