/** Watch: what the service is doing and has made. */
import { all } from "../lib/api.js";
import { html } from "../lib/html.js";
import { useLoaded } from "../lib/load.js";
import { percent, when } from "../lib/words.js";
import { ProblemBox } from "../parts/problem.js";

export default function Watch() {
  const jobs = useLoaded((signal) => all("v1/training-jobs", {}, 100, { signal }), []);
  return html`<h1>Watch</h1>
    <p class="lead">Everything that this server is teaching, and has taught.</p>
    <${ProblemBox} problem=${jobs.problem} again=${jobs.again} />
    ${jobs.value && html`<section class="card scroll"><table>
      <thead><tr><th>Job</th><th>Status</th><th class="num">Right, of dev pictures</th><th>Begun</th></tr></thead>
      <tbody>${jobs.value.map((job) => html`<tr key=${job.id}>
        <td>${job.name ?? job.id}</td><td>${job.status}</td>
        <td class="num">${percent(job.metrics?.dev_accuracy, 1)}</td><td>${when(job.created_at)}</td>
      </tr>`)}</tbody>
    </table></section>`}`;
}
