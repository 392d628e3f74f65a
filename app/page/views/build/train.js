/** Train the network on a data set, or keep it under a name. */
import { all, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link, wayOn } from "../../lib/router.js";
import { count } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";

/** Why a network cannot be trained on a data set, in words: {words, sizes} with the input that would fit; null when it can. */
function misfit({ name, image_shape: has, classes, target }, { input_shape: takes }, output) {
  const is = (sizes) => sizes.join(" × ");
  if (has && is(has) !== is(takes)) return { words: `${name} has pictures of ${is(has)}, the network takes ${is(takes)}.`, sizes: has };
  if (classes && output.length === 1 && output[0] !== classes.length) {
    const what = { class: "classes", labels: "labels", values: "values" }[target];
    return { words: `${name} has ${classes.length} ${what}, the network ends in ${count(output[0], "number")}: end it with a dense layer of ${classes.length} units.` };
  }
  return null;
}

/**
 * `network` puts out the shape `output`; `before`: it is the one before a fault, and not trained; `resize(sizes)` makes it
 * take pictures of another size.
 */
export function Train({ network, output, before, resize }) {
  const sets = useLoaded((signal) => all("v1/datasets", {}, 200, { signal }), []);
  const [picked, pick] = useState(null);
  const [epochs, setEpochs] = useState("");
  const [state, setState] = useState({});
  const fit = sets.value?.filter((one) => !misfit(one, network, output)) ?? [];
  const chosen = picked ?? (fit.find((one) => one.id === "digits") ?? fit[0] ?? sets.value?.[0])?.id ?? "";
  const start = async (event) => {
    event.preventDefault();
    const on = wayOn();
    setState({ busy: true });
    try {
      const job = await post("v1/training-jobs", {
        architecture: network, dataset: chosen, defaults: "auto", ...(epochs && { epochs: Number(epochs) }),
      });
      on("watch", { job: job.id });
      setState({});
    } catch (problem) {
      setState({ problem });
    }
  };
  const dataset = sets.value?.find((one) => one.id === chosen);
  const wrong = dataset && misfit(dataset, network, output);
  return html`<section class="card" aria-label="Train it">
    <h2>Train it</h2>
    <form class="stack" onSubmit=${start}>
      <label class="field"><span>Data set</span><select value=${chosen} onChange=${(event) => pick(event.target.value)}>
        ${sets.value?.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}${one.status !== "ready" ? ` (${one.status})` : fit.includes(one) ? "" : " (does not fit)"}</option>`)}
      </select></label>
      ${dataset && html`<p class="soft">${count(dataset.images ?? 0, "picture")} of ${dataset.image_shape?.join(" × ") ?? "?"}${dataset.classes ? `, ${count(dataset.classes.length, "class", "classes")}` : ""}</p>`}
      ${wrong && html`<p class="bad" role="status">${wrong.words} ${wrong.sizes && html`<button type="button" onClick=${() => resize(wrong.sizes)}>Make it take ${wrong.sizes.join(" × ")}</button>`}</p>`}
      <label class="field"><span>Epochs</span><input type="number" min="1" max="10000" value=${epochs} placeholder="chosen to fit the data" onInput=${(event) => setEpochs(event.target.value)} /></label>
      <${ProblemBox} problem=${sets.problem ?? state.problem} />
      <div><button class="primary" disabled=${state.busy || before || Boolean(wrong)}>Train</button></div>
    </form>
  </section>`;
}

/** `before`: the network is the one before a fault, and not what stands on the left. */
export function Keep({ network, before }) {
  const [name, setName] = useState("");
  const [state, setState] = useState({});
  const keep = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      setState({ made: await post("v1/architectures", { ...network, name }) });
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<form class="keep row" onSubmit=${keep}>
    <input aria-label="name to keep it under" required value=${name} placeholder="my-network" onInput=${(event) => setName(event.target.value)} />
    <button disabled=${state.busy || before}>Keep</button>
    <span role="status">${state.made && html`kept as <a href=${link("build", { architecture: state.made.id })}>${state.made.name}</a>`}</span>
    <${ProblemBox} problem=${state.problem} />
  </form>`;
}
