/** Train the network on a data set, or keep it under a name. */
import { all, post } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { go, link } from "../../lib/router.js";
import { count } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";

export function Train({ network }) {
  const sets = useLoaded((signal) => all("v1/datasets", {}, 200, { signal }), []);
  const [chosen, setChosen] = useState("digits");
  const [epochs, setEpochs] = useState("");
  const [state, setState] = useState({});
  const start = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      const job = await post("v1/training-jobs", {
        architecture: network, dataset: chosen, defaults: "auto", ...(epochs && { epochs: Number(epochs) }),
      });
      go("watch", { job: job.id });
    } catch (problem) {
      setState({ problem });
    }
  };
  const dataset = sets.value?.find((one) => one.id === chosen);
  return html`<section class="card" aria-label="Train it">
    <h2>Train it</h2>
    <form class="stack" onSubmit=${start}>
      <label class="field"><span>Data set</span><select value=${chosen} onChange=${(event) => setChosen(event.target.value)}>
        ${sets.value?.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}${one.status === "ready" ? "" : ` (${one.status})`}</option>`)}
      </select></label>
      ${dataset && html`<p class="soft">${count(dataset.images ?? 0, "picture")} of ${dataset.image_shape?.join(" × ") ?? "?"}${dataset.classes ? `, ${count(dataset.classes.length, "class", "classes")}` : ""}</p>`}
      <label class="field"><span>Epochs</span><input type="number" min="1" max="10000" value=${epochs} placeholder="chosen to fit the data" onInput=${(event) => setEpochs(event.target.value)} /></label>
      <${ProblemBox} problem=${sets.problem ?? state.problem} />
      <div><button class="primary" disabled=${state.busy}>Train</button></div>
    </form>
  </section>`;
}

export function Keep({ network }) {
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
    <button disabled=${state.busy}>Keep</button>
    <span role="status">${state.made && html`kept as <a href=${link("build", { architecture: state.made.id })}>${state.made.name}</a>`}</span>
    <${ProblemBox} problem=${state.problem} />
  </form>`;
}
