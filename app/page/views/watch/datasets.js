/** Data sets, newest first. */
import { html } from "../../lib/html.js";
import { link } from "../../lib/router.js";
import { bytes, count, percent, when } from "../../lib/words.js";
import { Progress } from "../../parts/progress.js";
import { NOUNS } from "./kinds.js";
import { useLists } from "./live.js";
import { Filters, Rest } from "./shared.js";

const LISTS = ["v1/datasets"];

/** How far a data set is, in words. */
export function state(one) {
  if (one.status === "failed") return `Failed: ${one.error?.message ?? "nobody knows why"}`;
  if (one.status === "ready") return one.adding ? "Ready; pictures are being added" : "Ready";
  const { stage, fraction, images, of, file } = one.progress ?? {};
  if (stage === "downloading") return `Downloading ${file ?? ""}, ${percent(fraction)}`;
  return of ? `Reading, ${count(images ?? 0, "picture")} of ${of.toLocaleString("en")}` : "Waits to be read";
}

export function Datasets({ params }) {
  const list = useLists(LISTS, { status: params.status, contains: params.name, tag: params.tag });
  return html`<${Filters} params=${params} fields=${[
      { name: "name", label: "In the name" }, { name: "tag", label: "Tag" },
      { name: "status", label: "Status", options: [["", "Any"], ...["ingesting", "ready", "failed"].map((one) => [one, one])] },
    ]} />
    ${list.rows?.length > 0 && html`<div class="card scroll" tabIndex="0" role="region" aria-label="Data sets"><table class="list rows">
      <thead><tr><th>Data set</th><th>State</th><th>Says of each</th><th class="num">Pictures</th><th class="num">Size</th><th>Made</th></tr></thead>
      <tbody>${list.rows.map((one) => html`<tr key=${one.id}>
        <td class="name"><a href=${link("watch", { dataset: one.id })}>${one.name}</a><small>${one.tags.map((tag) => html`<span class="tag">${tag}</span>`)}</small></td>
        <td class="far">${one.status === "ingesting" ? html`<${Progress} share=${one.progress?.fraction} label=${`How far ${one.name} is`} note=${state(one)} />` : html`<span class=${one.status === "failed" ? "bad" : ""}>${state(one)}</span>`}</td>
        <td>${one.classes.length > 0 && count(one.classes.length, ...NOUNS[one.target])}</td>
        <td class="num" data-unit=${one.images === 1 ? "picture" : "pictures"}>${one.images.toLocaleString("en")}</td><td class="num">${bytes(one.bytes)}</td><td class="when">${when(one.created_at)}</td>
      </tr>`)}</tbody>
    </table></div>`}
    <${Rest} list=${list} empty="No data set is like that." />`;
}
