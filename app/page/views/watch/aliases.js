/** The aliases of a model's name: words such as "production" that stand for one of its versions. */
import { all, get, send } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { link } from "../../lib/router.js";
import { when } from "../../lib/words.js";
import { Dialog } from "../../parts/dialog.js";
import { ProblemBox } from "../../parts/problem.js";

const OTHER_INTERFACE = "/problems/other-interface";

export function Aliases({ model }) {
  const path = `v1/models/${encodeURIComponent(model.name)}/aliases`;
  const loaded = useLoaded(async (signal) => {
    const [aliases, versions] = await Promise.all([get(path, {}, { signal }), all("v1/models", { name: model.name }, 1000, { signal })]);
    return { aliases: aliases.data, versions: new Map(versions.map((one) => [one.id, one.version])) };
  }, [path, model.id]);
  const [state, setState] = useState({});
  const put = async (alias, force = false) => {
    setState({ busy: true });
    try {
      await send("PUT", `${path}/${encodeURIComponent(alias)}`, { model_id: model.id, force });
      setState({ said: `${model.name}@${alias} is this version now.` });
      loaded.again();
    } catch (problem) {
      setState(problem.type.endsWith(OTHER_INTERFACE) ? { asked: alias, problem } : { problem });
    }
  };
  const remove = async (alias) => {
    setState({ busy: true });
    try {
      await send("DELETE", `${path}/${encodeURIComponent(alias)}`);
      setState({ said: `${alias} is gone.` });
      loaded.again();
    } catch (problem) {
      setState({ problem });
    }
  };
  const { aliases = [], versions } = loaded.value ?? {};
  return html`<section class="card" aria-label="Aliases"><h2>Aliases</h2>
    <p class="soft">Programs that ask for ${model.name}@production, say, get whichever version the alias stands for.</p>
    ${aliases.length > 0 && html`<div class="scroll" tabIndex="0" role="region" aria-label="Aliases of the name"><table class="list">
      <thead><tr><th>Alias</th><th>Stands for</th><th>Since</th><th><span class="visually-hidden">Change</span></th></tr></thead>
      <tbody>${aliases.map((one) => html`<tr key=${one.alias}>
        <td>${one.alias}</td>
        <td>${one.model_id === model.id ? "this version" : html`<a href=${link("watch", { model: one.model_id })}>version ${versions.get(one.model_id) ?? one.model_id}</a>`}</td>
        <td class="when">${when(one.updated_at)}</td>
        <td>${one.model_id !== model.id && html`<button type="button" disabled=${state.busy} onClick=${() => put(one.alias)}>Move to this version</button>`}
          <button type="button" class="plain" disabled=${state.busy} aria-label=${`Remove the alias ${one.alias}`} onClick=${() => remove(one.alias)}>Remove</button></td>
      </tr>`)}</tbody></table></div>`}
    <form class="row" onSubmit=${(event) => { event.preventDefault(); put(new FormData(event.target).get("alias")); }}>
      <label class="field"><span>A new alias</span><input name="alias" required maxlength="64" placeholder="production" autocapitalize="none" /></label>
      <button class="low" disabled=${state.busy}>Let it stand for this version</button>
    </form>
    <span role="status">${state.said ?? ""}</span>
    <${ProblemBox} problem=${loaded.problem ?? (state.asked ? null : state.problem)} />
    ${state.asked && html`<${Dialog} title=${`Move ${state.asked} all the same?`} close=${() => setState({})}>
      <${ProblemBox} problem=${state.problem} />
      <p>Programs that ask for ${model.name}@${state.asked} would have to expect other answers, or send other pictures.</p>
      <div class="row"><button type="button" class="primary" onClick=${() => put(state.asked, true)}>Move it</button>
        <button type="button" onClick=${() => setState({})}>Leave it</button></div>
    <//>`}
  </section>`;
}
