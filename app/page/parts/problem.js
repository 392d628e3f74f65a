/** What went wrong, in the service's own words, with what would mend it. */
import { html } from "../lib/html.js";

/** `problem`: a Problem or any Error; `again`: what a button to try again does. */
export function ProblemBox({ problem, again }) {
  if (!problem || problem.name === "AbortError") return null;
  const faults = problem.errors ?? [];
  // the one fault there is has been said already, in the sentence about the whole
  const [only] = faults.length === 1 && problem.message.includes(faults[0].detail) ? faults : [];
  const hint = problem.hint || only?.hint;
  return html`<div class="problem" role="alert">
    <b>${problem.title || "That did not work"}</b>
    <div>${problem.message}</div>
    ${hint && html`<div class="hint">${hint}</div>`}
    ${!only && faults.length > 0 && html`<ul>
      ${faults.map((fault) => html`<li>
        ${(fault.pointer || fault.parameter) && html`<code>${fault.pointer || fault.parameter}</code>${" "}`}
        ${fault.detail} ${fault.hint && html`<span class="hint">${fault.hint}</span>`}
      </li>`)}
    </ul>`}
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  </div>`;
}
