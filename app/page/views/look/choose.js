/** Choosing a picture: samples of a data set, a file, or the clipboard. */
import { get } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { ELSEWHERE, possible, useCamera } from "../../parts/camera.js";
import { Drop } from "../../parts/drop.js";
import { Picture } from "../../parts/picture.js";
import { ProblemBox } from "../../parts/problem.js";
import { labelled } from "./picture.js";

const SHOWN = 12;
const PAGE = 100;

/** `datasets`: all; `dataset`: whose samples are shown; `turn(id)` to another; `number` of the one that is looked at; `choose(number)`. */
export function Samples({ datasets, dataset, turn, number, choose }) {
  const [{ after, begin }, turnTo] = useState({ after: null, begin: 0 });
  useEffect(() => turnTo({ after: null, begin: 0 }), [dataset]);
  const page = useLoaded(
    (signal) => (dataset ? samples(dataset, after, signal) : Promise.resolve({ data: [], next: null })), [dataset, after],
  );
  const found = page.value ?? { data: [], next: null };
  const more = begin + SHOWN < found.data.length;
  const others = () => turnTo(more ? { after, begin: begin + SHOWN } : { after: found.next, begin: 0 });
  return html`<div class="samples">
    ${datasets.length > 0 && html`<label class="field"><span>Pictures of a data set</span>
      <select value=${dataset ?? ""} onChange=${(event) => turn(event.target.value)}>
        ${datasets.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}
      </select></label>`}
    <${ProblemBox} problem=${page.problem} again=${page.again} />
    <div class="thumbs" role="group" aria-label="Samples">
      ${found.data.slice(begin, begin + SHOWN).map((one) => html`<button type="button" class="mapbutton" key=${`${dataset}${one.number}`} aria-pressed=${one.number === number}
        onClick=${() => choose(one.number)}>
        <${Picture} path=${`v1/datasets/${encodeURIComponent(dataset)}/images/${one.number}`} class="pixels" width="44" height="44"
          alt=${`picture ${one.number}${labelled(one)}`} /></button>`)}
    </div>
    ${(found.next || after || found.data.length > SHOWN) && html`<button type="button" class="plain" onClick=${others}>${more || found.next ? "Other pictures" : "From the beginning"}</button>`}
  </div>`;
}

async function samples(dataset, after, signal) {
  const path = `v1/datasets/${encodeURIComponent(dataset)}/images`;
  let page = await get(path, { split: "test", limit: PAGE, after }, { signal });
  // a data set may have no test pictures
  if (!page.data.length && !after) page = { ...(await get(path, { limit: PAGE }, { signal })), next: null };
  return { ...page, data: mixed(page.data) };
}

/** One picture of each class, then another of each: data sets often hold one class after the other. */
function mixed(pictures) {
  const turns = new Map();
  const turn = ({ label }) => {
    const number = turns.get(label) ?? 0;
    turns.set(label, number + 1);
    return number;
  };
  const numbered = pictures.map((one) => [one.label === null ? 0 : turn(one), one]);
  return numbered.sort(([one], [other]) => one - other).map(([, picture]) => picture);
}

/** A picture of one's own, from a file, the clipboard or the camera; `take(file)`. */
export function Own({ take }) {
  useEffect(() => {
    const pasted = (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (file) take(file);
    };
    addEventListener("paste", pasted);
    return () => removeEventListener("paste", pasted);
  }, [take]);
  const [live, setLive] = useState(false);
  const taken = (file) => {
    setLive(false);
    take(file);
  };
  return html`
    ${live && html`<${Live} take=${taken} />`}
    <${Drop} take=${(files) => files.length && taken(files[0].file)} multiple=${false} words="Drop or paste a picture">
      ${possible() && html`<button type="button" aria-pressed=${live} onClick=${() => setLive(!live)}>${live ? "Stop the camera" : "Use the camera"}</button>`}
    <//>
    ${!possible() && html`<p class="soft elsewhere">${ELSEWHERE}.</p>`}`;
}

function Live({ take }) {
  const camera = useCamera();
  useEffect(() => {
    camera.start();
  }, []);
  const shoot = async () => {
    const picture = await camera.grab();
    if (picture) take(picture);
  };
  return html`<div class="live">
    <video ref=${camera.video} muted playsinline aria-label="What the camera sees"></video>
    ${camera.problem && html`<p role="alert">${camera.problem}</p>`}
    <button type="button" class="primary" disabled=${!camera.on} onClick=${shoot}>Take the picture</button>
  </div>`;
}
