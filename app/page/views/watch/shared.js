/** What the lists and the single things of Watch have in common. */
import { blob, send } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { go, link, wayOn } from "../../lib/router.js";
import { Dialog } from "../../parts/dialog.js";
import { ProblemBox } from "../../parts/problem.js";
import { Typed } from "../../parts/typed.js";

/** What keeps a job from being shown as it is now: a problem, or that the server is away. */
export function Away({ problem, lost }) {
  return html`<${ProblemBox} problem=${problem} />
    ${lost && html`<p role="status" class="bad">The server cannot be reached. This goes on by itself as soon as it is there again.</p>`}`;
}

/** The way back to a list, and the title of what is open. */
export function Opened({ tab, list, title, children }) {
  return html`<nav aria-label="Back"><a href=${link("watch", { tab })}>← ${list}</a></nav>
    <div class="row opened"><h2>${title}</h2>${children}</div>`;
}

/**
 * A button that asks before it deletes: `what` in words, `path` of the service, `to` the tab that is shown afterwards;
 * `children` say what stays.
 */
export function Delete({ what, path, to, children }) {
  const [state, setState] = useState({});
  const remove = async () => {
    const on = wayOn();
    setState({ asked: true, busy: true });
    try {
      await send("DELETE", path);
      on("watch", { tab: to }, { replace: true });
    } catch (problem) {
      setState({ asked: true, problem });
    }
  };
  return html`<button type="button" onClick=${() => setState({ asked: true })}>Delete</button>
    ${state.asked && html`<${Dialog} title=${`Delete ${what}?`} close=${() => setState({})}>
      <p>It cannot be brought back. ${children}</p>
      <${ProblemBox} problem=${state.problem} />
      <div class="row"><button type="button" class="primary" disabled=${state.busy} onClick=${remove}>Delete it</button>
        <button type="button" onClick=${() => setState({})}>Keep it</button></div>
    <//>`}`;
}

/** A button that saves a file of the service; as a Blob, since a link cannot carry a key. */
export function Download({ path, name, accept, children }) {
  const [state, setState] = useState({});
  const fetchIt = async () => {
    setState({ busy: true });
    try {
      const url = URL.createObjectURL(await blob(path, accept ? { accept } : {}));
      const anchor = document.createElement("a");
      anchor.href = url;
      anchor.download = name;
      anchor.click();
      // the browser has to have begun with it
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      setState({});
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<button type="button" disabled=${state.busy} onClick=${fetchIt}>${children}</button><${ProblemBox} problem=${state.problem} />`;
}

/** Fields above a list; what is typed narrows it when Enter is pressed or the field is left. `fields`: [{name, label, options}]. */
export function Filters({ params, fields }) {
  const set = (name, text) => go("watch", { ...params, [name]: text }, { replace: true });
  return html`<form class="row filters" onSubmit=${(event) => event.preventDefault()} role="search" aria-label="Narrow the list">
    ${fields.map(({ name, label, options }) => html`<label class="field" key=${name}><span>${label}</span>
      ${options
        ? html`<select value=${params[name] ?? ""} onChange=${(event) => set(name, event.target.value)}>
            ${options.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
          </select>`
        : html`<${Typed} type="search" maxlength="100" value=${params[name] ?? ""} set=${(text) => set(name, text.trim())} />`}
    </label>`)}
  </form>`;
}

/** The end of a list: its problem, what it is while it is empty, and a button for more. */
export function Rest({ list, empty }) {
  return html`<${ProblemBox} problem=${list.problem} again=${list.again} />
    ${list.rows?.length === 0 && !list.busy && !list.problem && html`<p class="soft">${empty}</p>`}
    ${list.more && html`<button type="button" class="plain" onClick=${list.more}>Show more</button>`}`;
}

/** A list of terms and what they are; entries without a value are left out. `entries`: [[term, what]]. */
export function Facts({ entries }) {
  return html`<dl class="facts">${entries.filter(([, what]) => what !== null && what !== undefined && what !== "").map(
    ([term, what]) => html`<div key=${term}><dt>${term}</dt><dd>${what}</dd></div>`,
  )}</dl>`;
}

/** JSON behind a fold. */
export function Raw({ label, value }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>${label}</summary>
    ${open && html`<pre class="raw" tabIndex="0" aria-label=${label}>${JSON.stringify(value, null, 2)}</pre>`}
  </details>`;
}

/** The title of the window while a thing is open. */
export function useTitle(text) {
  useEffect(() => {
    if (text) document.title = `${text} - convserve`;
  }, [text]);
}
