/** The calls that correct a picture, as buttons, and the way back. */
import { send } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { sentence } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";

/** What was corrected in this tab, by the address of the picture: an evaluation does not know of it. */
const done = new Map();

/** What was done about a picture in this tab, in words; or null. */
export function corrected(one) {
  return done.get(one.image_url)?.said ?? null;
}

function before(one, body) {
  if (body.excluded !== undefined) return { excluded: !body.excluded };
  if (body.label !== undefined) return { label: one.label };
  if (body.labels !== undefined) return { labels: one.labels.filter((each) => each.true).map((each) => each.name) };
  return { values: Object.fromEntries(one.values.map((each) => [each.name, each.value])) };
}

/** `one`: a mistake or prediction of the service, with its `corrections`; `changed()` is called after each. */
export function Corrections({ one, changed = () => {} }) {
  const [state, setState] = useState({});
  const make = async ({ method, url, body, summary }, undo) => {
    setState({ busy: true });
    try {
      await send(method, url.slice(1), body);
      if (undo) done.delete(one.image_url);
      else done.set(one.image_url, { said: sentence(summary), back: { method, url, body: before(one, body), summary: "put it back" } });
      setState({});
      changed();
    } catch (problem) {
      setState({ problem });
    }
  };
  const was = done.get(one.image_url);
  return html`<div class="corrections">
    ${was
      ? html`<span role="status">Done: ${was.said} What is taught from now on goes by it.</span> <button type="button" disabled=${state.busy} onClick=${() => make(was.back, true)}>Put it back</button>`
      : one.corrections.map((call) => html`<button type="button" key=${call.summary} disabled=${state.busy} onClick=${() => make(call, false)}>${sentence(call.summary).slice(0, -1)}</button>`)}
    <${ProblemBox} problem=${state.problem} />
  </div>`;
}
