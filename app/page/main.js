/** The frame: which view is shown, what the service is doing, and the question for a key. */
import { get } from "./lib/api.js";
import { follow } from "./lib/events.js";
import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useState } from "./lib/html.js";
import { giveKey, onAsked } from "./lib/key.js";
import { useLoaded } from "./lib/load.js";
import { useNews } from "./lib/news.js";
import { usePlace, wayOn } from "./lib/router.js";
import { bytes, count } from "./lib/words.js";
import { Dialog } from "./parts/dialog.js";
import { ProblemBox } from "./parts/problem.js";

// the rail of index.html is the one list of views: a view is page/views/NAME.js, with its styles in NAME.css
const links = [...document.querySelectorAll(".rail > a")];
const views = links.map((one) => one.getAttribute("href").slice(2));
const loaded = new Map();
const sheets = new Map();

// what follows the # is the place, so the link to the content is none to follow
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("view").focus();
});

function load(name) {
  if (!loaded.has(name)) {
    const sheet = new Promise((resolve) => {
      const element = document.createElement("link");
      element.rel = "stylesheet";
      element.href = new URL(`./views/${name}.css`, import.meta.url).href;
      element.onload = () => {
        sheets.set(name, element.sheet);
        element.sheet.disabled = true;
        resolve();
      };
      // a view without its styles is better than none
      element.onerror = resolve;
      document.head.append(element);
    });
    const both = Promise.all([import(`./views/${name}.js`), sheet]).then(([module]) => module.default);
    both.catch(() => loaded.delete(name));
    loaded.set(name, both);
  }
  return loaded.get(name);
}

function View() {
  const { view, params, from } = usePlace();
  const [shown, setShown] = useState(null);
  const [problem, setProblem] = useState(null);
  const known = views.includes(view);
  useEffect(() => {
    if (!known) return wayOn(from)(views[0], {}, { replace: true });
    let left = false;
    links.forEach((one, at) => (views[at] === view ? one.setAttribute("aria-current", "page") : one.removeAttribute("aria-current")));
    load(view).then(
      (component) => left || (setProblem(null), setShown({ view, component })),
      () => left || setProblem(new Error("This view could not be loaded. The server may have been stopped; reload the page to try again.")),
    );
    return () => (left = true);
  }, [view, known || from]);
  // names of classes are each view's own: the styles of the others must not reach it
  useLayoutEffect(() => sheets.forEach((sheet, name) => (sheet.disabled = name !== shown?.view)), [shown]);
  useEffect(() => {
    if (shown) document.title = `${shown.view[0].toUpperCase()}${shown.view.slice(1)} - convserve`;
  }, [shown]);
  if (problem) return html`<${ProblemBox} problem=${problem} again=${() => location.reload()} />`;
  return shown && html`<${Guarded} key=${shown.view} view=${shown.component} params=${shown.view === view ? params : {}} from=${from} />`;
}

function Guarded({ view: Shown, params, from }) {
  const [fault, reset] = useErrorBoundary((error) => console.error(error));
  if (fault) {
    return html`<${ProblemBox} problem=${new Error(`This view met a fault of its own: ${fault.message}`)} again=${reset} />`;
  }
  return html`<${Shown} params=${params} from=${from} />`;
}

/** What the service is doing, and what it has, in the foot of the rail. */
function Doing() {
  const system = useLoaded(async (signal) => {
    const asked = performance.now();
    return { asked, ...(await get("v1/system", {}, { signal })) };
  }, []);
  const [told, setTold] = useState(null);
  useEffect(() => follow(null, ({ event, data }) => event === "counts" && setTold({ jobs: data.jobs, at: performance.now() })), []);
  useNews(() => 0, system.again);
  if (!system.value || system.problem) return system.problem && "The server cannot be reached.";
  const { asked, cores, memory_bytes: memory } = system.value;
  const { jobs } = told?.at >= asked ? told : system.value;
  const [running, queued] = ["running", "queued"].map((name) => jobs.reduce((sum, one) => sum + one[name], 0));
  return `${running ? count(running, "job") : "No job"} running${queued ? `, ${queued.toLocaleString("en")} waiting` : ""}, ${count(cores, "core")}, ${bytes(memory)}`;
}

function KeyQuestion() {
  const [asked, setAsked] = useState(null);
  useEffect(() => onAsked((wrong) => setAsked({ wrong })), []);
  if (!asked) return null;
  const give = (event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("key").trim();
    if (!text) return;
    setAsked(null);
    giveKey(text);
  };
  return html`<${Dialog} title="This service asks for a key" dismiss=${false}>
    <form onSubmit=${give} class="stack">
      <p>${asked.wrong ? "The service does not take that key." : "Whoever runs the service has it."} It is kept for this tab only.</p>
      <label class="field"><span>Key</span><input name="key" type="password" autocomplete="off" autofocus required /></label>
      <div><button class="primary">Go on</button></div>
    </form>
  <//>`;
}

render(html`<${View} />`, document.getElementById("view"));
render(html`<${Doing} />`, document.getElementById("status"));
render(html`<${KeyQuestion} />`, document.getElementById("over"));
