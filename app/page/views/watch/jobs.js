/** Jobs of all kinds, newest first, and the curves of several runs over each other. */
import { post } from "../../lib/api.js";
import { html, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { go } from "../../lib/router.js";
import { when } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Progress } from "../../parts/progress.js";
import { active, KINDS, namesOf, outcome, status, STATUSES, title, whereabouts } from "./kinds.js";
import { useLists } from "./live.js";
import { Runs } from "./runs.js";
import { Filters, Rest } from "./shared.js";

const MOST_RUNS = 12;

export function Jobs({ params }) {
  // only training runs have names and tags
  const narrow = params.name || params.tag;
  const kinds = narrow ? ["training"] : params.kind in KINDS ? [params.kind] : Object.keys(KINDS);
  const query = { status: params.status, ...(narrow && { contains: params.name, tag: params.tag }) };
  const paths = kinds.map((kind) => KINDS[kind].path);
  const list = useLists(paths, query);
  // where there are many, what runs may have been asked for long before what waits, and is what somebody wants to see
  const running = useLists(params.status || !list.more ? [] : paths, { ...query, status: "running" });
  const known = useRef({});
  const first = list.rows ? (running.rows ?? []) : [];
  const rows = [...first, ...(list.rows ?? []).filter((row) => !first.some((one) => one.id === row.id))];
  const others = rows.filter((row) => row.path !== KINDS.training.path);
  const names = useLoaded((signal) => namesOf(others, signal, known.current), [others.map((row) => row.id).join()]);
  const runs = (params.runs ?? "").split(",").filter(Boolean).slice(0, MOST_RUNS);
  const choose = (id, on) => go("watch", { ...params, runs: (on ? [...runs, id] : runs.filter((one) => one !== id)).join(",") }, { replace: true });
  return html`<${Filters} params=${params} fields=${[
      { name: "kind", label: "Kind", options: [["", "All kinds"], ...Object.entries(KINDS).map(([kind, { nouns }]) => [kind, nouns])] },
      { name: "status", label: "Status", options: [["", "Any"], ...STATUSES.map((one) => [one, one])] },
      { name: "name", label: "In the run's name" },
      { name: "tag", label: "Tag" },
    ]} />
    ${runs.length > 0 && html`<${Runs} ids=${runs} shown=${params.figure} show=${(figure) => go("watch", { ...params, figure }, { replace: true })} clear=${() => go("watch", { ...params, runs: null, figure: null }, { replace: true })} />`}
    ${rows.length > 0 && html`<div class="card scroll" tabIndex="0" role="region" aria-label="Jobs"><table class="list rows">
      <thead><tr><th><span class="visually-hidden">Curves</span></th><th>Job</th><th>How far it is</th><th>What came of it</th><th>Asked for</th></tr></thead>
      <tbody>${rows.map((job) => html`<${Row} key=${job.id} job=${job} names=${names.value ?? {}} chosen=${runs.includes(job.id)}
        full=${runs.length >= MOST_RUNS} choose=${choose} />`)}</tbody>
    </table></div>`}
    <${Rest} list=${list} empty=${params.status || narrow ? "No job is like that." : "Nothing has been asked for yet."} />`;
}

function Row({ job, names, chosen, full, choose }) {
  const kind = Object.keys(KINDS).find((one) => KINDS[one].path === job.path);
  const name = title(kind, job, names);
  return html`<tr class=${job.status}>
    <td>${kind === "training" && html`<input type="checkbox" checked=${chosen} disabled=${full && !chosen} aria-label=${`Curves of ${name}`}
      onChange=${(event) => choose(job.id, event.target.checked)} />`}</td>
    <td class="name"><a href=${whereabouts(kind, job)}>${name}</a><small>${KINDS[kind].noun}${(job.tags ?? []).map((tag) => html`<span class="tag">${tag}</span>`)}</small></td>
    <td class="far">${active(job)
      ? html`<${Running} kind=${kind} job=${job} name=${name} />`
      : html`<span class=${job.status === "failed" ? "bad" : ""}>${status(kind, job)}</span>`}</td>
    <td>${outcome(kind, job)}</td>
    <td class="when">${when(job.created_at)}</td>
  </tr>`;
}

/** How far a job is, and what stops it. */
export function Running({ kind, job, name }) {
  const [problem, setProblem] = useState(null);
  const cancel = () => post(`${KINDS[kind].path}/${job.id}/cancel`, {}).catch(setProblem);
  const share = job.status === "running" ? job.progress.fraction : 0;
  return html`<${Progress} share=${share} label=${`How far ${name} is`} note=${status(kind, job)} stop=${job.status === "cancelling" ? null : cancel} />
    <${ProblemBox} problem=${problem} />`;
}
