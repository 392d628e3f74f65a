/** Try it at once: the camera or pictures, bars of probability, what it looked at, and "wrong? put it into ...". */
import { pictureForm, post } from "../../lib/api.js";
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link, wayOn } from "../../lib/router.js";
import { percent } from "../../lib/words.js";
import { Bars } from "../../parts/bars.js";
import { Drop } from "../../parts/drop.js";
import { LocalPicture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { ELSEWHERE, possible, useCamera } from "../../parts/camera.js";
import { addPictures } from "./adding.js";
import { lesson } from "./lesson.js";
import { fingerprint } from "./pictures.js";
import { isLearned, label } from "./plan.js";
import { busy, teach } from "./run.js";
import { Seen } from "./seen.js";

const MOST_SHOWN = 10;
const MOST_TRIED = 24;
const PAUSE_MS = 120;

/** What was tried stays while another view is looked at: with what the page has taught, or with a model. */
const OWN = "own";
const before = new Map();

/** Forget what was tried. */
export const forgetTried = () => before.delete(OWN);

/** `model`: the id of the model that is tried; `own`: it has learned the pictures of the page, and can learn more of them. */
export function Trying({ model, own = false }) {
  const name = own ? OWN : model;
  const [tried, setTried] = useState(before.get(name)?.tried ?? []);
  const [at, setAt] = useState(before.get(name)?.at ?? 0);
  const [map, setMap] = useState(before.get(name)?.map ?? true);
  before.set(name, { tried, at, map });
  const [live, setLive] = useState(false);
  const one = tried[at];
  const add = (files) => {
    const made = files.slice(0, MOST_TRIED).map(({ file, path }) => ({ id: `${path}-${performance.now()}-${Math.random()}`, file }));
    if (!made.length) return;
    setTried((others) => [...made, ...others].slice(0, MOST_TRIED));
    setAt(0);
    setLive(false);
  };
  return html`<section class="card grow" aria-label="Try it">
    <h2>Try it at once</h2>
    ${live && html`<${Live} model=${model} map=${map} own=${own} keep=${(file) => add([{ file, path: file.name }])} />`}
    ${!live && one && html`<${Tried} key=${one.id + model} file=${one.file} model=${model} map=${map} own=${own} />`}
    ${tried.length > 1 && !live && html`<div class="row tried" role="group" aria-label="Pictures that were tried">
      ${tried.map((each, place) => html`<button type="button" key=${each.id} aria-pressed=${place === at} onClick=${() => setAt(place)}
        aria-label=${each.file.name}><${LocalPicture} file=${each.file} alt="" width="40" height="40" /></button>`)}
    </div>`}
    ${(live || one) && html`<label class="toggle"><input type="checkbox" checked=${map} onChange=${() => setMap(!map)} /> Show what it looked at</label>`}
    <${Drop} take=${add} words="Drop pictures that it has not seen">
      ${possible() && html`<button type="button" aria-pressed=${live} onClick=${() => setLive(!live)}>${live ? "Stop the camera" : "Use the camera"}</button>`}
    <//>
    ${!possible() && html`<p class="soft elsewhere">${ELSEWHERE}.</p>`}
  </section>`;
}

/** What the model says of one file: {value, problem}; `top_k` as many as are shown. */
function predict(model, file, signal) {
  return post(`v1/models/${model}/predict`, pictureForm(file), { query: { top_k: MOST_SHOWN }, signal });
}

/** The answer for a file, asked for when it changes. */
function usePrediction(model, file) {
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    const stopping = new AbortController();
    predict(model, file, stopping.signal).then(
      ({ data }) => (setAnswer(data[0]), setProblem(null)), (error) => stopping.signal.aborted || setProblem(error),
    );
    return () => stopping.abort();
  }, [model, file]);
  return { answer, problem };
}

function Tried({ file, model, map, own }) {
  const { answer, problem } = usePrediction(model, file);
  const learned = isLearned(useLoaded(() => own && fingerprint(file), [file]).value);
  return html`<div class="trial">
    <div class="row">
      <div class="shown"><${LocalPicture} file=${file} alt=${file.name} />
        ${map && answer && html`<${Seen} file=${file} model=${model} name=${answer.label} />`}</div>
      <div class="grow">
        <${ProblemBox} problem=${problem} />
        ${answer && html`<${Says} answer=${answer} />
          ${learned && html`<p class="soft learned">It has learned this very picture: how good it is shows with others.</p>`}
          ${own && html`<${Wrong} file=${() => file} answer=${answer} />`}
          <p class="inside"><a href=${link("look", { model, picture: "own" })} onClick=${(event) => inside(event, model, file)}>See its way through the network</a></p>`}
      </div>
    </div>
  </div>`;
}

/** The view Look takes the picture along. */
async function inside(event, model, file) {
  event.preventDefault();
  const on = wayOn();
  const { keepOwn } = await import("../look/picture.js");
  keepOwn(file);
  on("look", { model, picture: "own" });
}

function Says({ answer }) {
  return html`<p class="verdict" role="status">${answer.probability < 0.5 ? "Not sure, perhaps" : "It says"} <b>${answer.label}</b></p>
    <${Bars} entries=${answer.top.map((each) => ({ label: each.label, share: each.probability }))} />`;
}

/** "Wrong? Put it into ...": the picture goes to the class that is right, and a button teaches again. */
function Wrong({ file, answer }) {
  const [put, setPut] = useState(null);
  const choose = async (event) => {
    const of = lesson.classes.find((one) => one.id === event.target.value);
    event.target.value = "";
    if (!of) return;
    const picture = await file();
    const before = of.pictures.length;
    await addPictures(of, [{ file: picture, path: picture.name }]);
    setPut(of.pictures.length > before ? `Now in ${label(of)}.` : of.refused.at(-1) ? `${picture.name} ${of.refused.at(-1).why}.` : "");
  };
  return html`<div class="wrong">
    <select aria-label="Wrong? Put it into a class" onChange=${choose}>
      <option value="">Wrong? Put it into ...</option>
      ${lesson.classes.filter((one) => label(one) && label(one) !== answer?.label).map((one) => html`<option key=${one.id} value=${one.id}>${label(one)}</option>`)}
    </select>
    <span role="status">${put}</span>
    ${put && !busy() && html`<button type="button" onClick=${teach}>Teach again</button>`}
  </div>`;
}

/** The camera, live: a picture is asked about as soon as the last answer is there. */
function Live({ model, map, own, keep }) {
  const camera = useCamera();
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  const [frame, setFrame] = useState(null);
  const last = useRef(null);
  useEffect(() => {
    const stopping = new AbortController();
    camera.start();
    const go = async () => {
      while (!stopping.signal.aborted) {
        try {
          const taken = await camera.grab();
          if (taken) {
            last.current = taken;
            const { data } = await predict(model, last.current, stopping.signal);
            setAnswer(data[0]);
            setFrame(last.current);
            setProblem(null);
          }
        } catch (error) {
          if (!stopping.signal.aborted) setProblem(error);
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    };
    go();
    return () => (stopping.abort(), camera.stop());
  }, [model]);
  return html`<div class="trial">
    <div class="row">
      <div class="shown"><video ref=${camera.video} muted playsinline aria-label="What the camera sees"></video>
        ${map && answer && frame && html`<${Seen} file=${frame} model=${model} name=${answer.label} />`}</div>
      <div class="grow">
        ${camera.problem && html`<p class="bad" role="alert">${camera.problem}</p>`}
        <${ProblemBox} problem=${problem} />
        ${answer && html`<p class="verdict">${percent(answer.probability)} <b>${answer.label}</b></p>
          <${Bars} entries=${answer.top.map((each) => ({ label: each.label, share: each.probability }))} />
          ${own && html`<${Wrong} file=${async () => last.current} answer=${answer} />`}
          <button type="button" onClick=${() => keep(last.current)}>Hold this picture</button>`}
      </div>
    </div>
  </div>`;
}
