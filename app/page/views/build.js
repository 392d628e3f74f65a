/** Build: a network as blocks, with what each does to the shape, what it costs, and what is wrong with it. */
import { all, get, post } from "../lib/api.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { useLoaded } from "../lib/load.js";
import { wayOn } from "../lib/router.js";
import { ProblemBox } from "../parts/problem.js";
import { Typed } from "../parts/typed.js";
import { Diagram, Totals } from "./build/account.js";
import { Compare } from "./build/compare.js";
import { plain, replaced, useDraft } from "./build/draft.js";
import { LayerList } from "./build/layers.js";
import { Keep, Train } from "./build/train.js";

const FIRST = "lenet-5";

/** A document with its summary; of one with a fault, the summary of the layers before it, and the problem. */
async function account(draft, signal) {
  try {
    return { draft, summary: await post("v1/architectures/summary", draft, { signal }), problem: null };
  } catch (problem) {
    if (problem.name === "AbortError" || !problem.errors?.length) throw problem;
    const faulty = Math.min(...problem.errors.map((one) => Number(/^\/layers\/(\d+)/.exec(one.pointer ?? "")?.[1] ?? 0)));
    const before = faulty && await post("v1/architectures/summary", { ...draft, layers: draft.layers.slice(0, faulty) }, { signal }).catch(() => null);
    return { draft, summary: before || null, problem };
  }
}

export default function Build({ params, from }) {
  const catalog = useLoaded((signal) => get("v1/catalog/layers", {}, { signal }), []);
  const presets = useLoaded((signal) => get("v1/catalog/presets", {}, { signal }), []);
  const own = useLoaded((signal) => all("v1/architectures", {}, 200, { signal }), []);
  const { draft, edit: change, undo, redo } = useDraft();
  const asked = useRef(0);
  const [chosen, choose] = useState(null);
  const [problem, setProblem] = useState(null);
  const layers = catalog.value?.data;
  const known = presets.value?.data;

  const begin = async ({ preset, architecture }) => {
    const mine = (asked.current += 1);
    try {
      const found = preset ? known.find((one) => one.name === preset)?.architecture : await get(`v1/architectures/${encodeURIComponent(architecture)}`);
      // something else may have been chosen before the answer came
      if (mine !== asked.current) return;
      if (!found) throw new Error(`There is no preset called ${preset}.`);
      change(() => ({ input_shape: found.input_shape, layers: plain(found.layers, layers) }));
      setProblem(null);
      choose(null);
    } catch (fault) {
      if (mine === asked.current) setProblem(fault);
    }
  };
  useEffect(() => {
    if (!layers || !known) return;
    const on = wayOn(from);
    if (params.preset || params.architecture) begin(params).then(() => on("build", {}, { replace: true }));
    else if (!draft) begin({ preset: FIRST });
  }, [layers, known, params.preset, params.architecture]);

  const done = useLoaded((signal) => draft && account(draft, signal), [JSON.stringify(draft)]);
  const { summary, problem: fault } = done.value ?? {};
  const good = useRef(null);
  if (summary && !fault) good.current = done.value;
  // what a fault leaves of the network says little: what it was before stays
  const shown = fault ? good.current : done.value;
  const network = fault ? shown?.draft : draft;
  const edit = (path, how) => change((now) => replaced(now, path, how));
  const world = { catalog: layers, problem: fault, summary, chosen, choose, edit };
  const elsewhere = fault && !fault.errors.some((one) => one.pointer?.startsWith("/layers/"));
  const side = (at, value) => edit(["input_shape"], (sizes) => sizes.map((one, axis) => (axis === at ? Number(value) : one)));
  return html`<h1>Build</h1>
    <p class="lead">A network, block after block. Each says what it makes of the shape; what cannot be is said where it is.</p>
    <${ProblemBox} problem=${catalog.problem ?? presets.problem ?? problem} again=${() => { catalog.again(); presets.again(); }} />
    ${layers && known && draft && html`<div class="build">
      <section class="card network" aria-label="The network">
        <div class="row tools">
          <select aria-label="begin with" value="" onChange=${(event) => {
            const [kind, name] = event.target.value.split(":");
            event.target.value = "";
            if (kind) begin({ [kind]: name });
          }}>
            <option value="">begin with ...</option>
            <optgroup label="From the literature">${known.map((one) => html`<option key=${one.name} value=${`preset:${one.name}`}>${one.title}</option>`)}</optgroup>
            ${own.value?.length > 0 && html`<optgroup label="Kept here">${own.value.map((one) => html`<option key=${one.id} value=${`architecture:${one.id}`}>${one.name}</option>`)}</optgroup>`}
          </select>
          <button type="button" disabled=${!undo} onClick=${undo}>Undo</button>
          <button type="button" disabled=${!redo} onClick=${redo}>Redo</button>
        </div>
        <fieldset class="input"><legend class="soft">Picture</legend>
          ${["height", "width", "channels"].map((name, at) => html`<label key=${name}>${name}${" "}<${Typed} type="number" min="1" max="4096" value=${draft.input_shape[at]}
            set=${(text) => side(at, text)} /></label>`)}
        </fieldset>
        <${LayerList} layers=${draft.layers} path=${["layers"]} world=${world} label="the network" />
      </section>
      <div class="stack side">
        <${ProblemBox} problem=${done.problem ?? (elsewhere ? fault : null)} again=${done.problem && done.again} />
        ${fault && !elsewhere && html`<p class="say" role="status">There is a fault: ${fault.errors[0].detail}.${shown ? " What stands below is the network before it." : ""}</p>`}
        ${(shown ?? summary) && html`<${Totals} summary=${shown?.summary ?? summary} partial=${!shown} before=${Boolean(fault)} choose=${choose} />`}
        ${shown && html`<${Diagram} document=${network} /><${Compare} network=${network} presets=${known} />
          <${Train} network=${network} output=${shown.summary.output_shape} before=${Boolean(fault)} resize=${(sizes) => edit(["input_shape"], () => sizes)} />
          <section class="card"><h2>Keep it</h2><${Keep} network=${network} before=${Boolean(fault)} /></section>`}
      </div>
    </div>`}`;
}
