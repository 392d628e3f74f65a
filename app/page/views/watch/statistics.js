/** What the pictures of a data set are like, in words. */
import { get } from "../../lib/api.js";
import { html, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";
import { count, precise } from "../../lib/words.js";
import { ProblemBox } from "../../parts/problem.js";
import { Pictures } from "./pictures.js";

const CHANNELS = { 1: ["grey"], 3: ["red", "green", "blue"] };
/** A class with so many times the pictures of another is said to have many more. */
const UNEVEN = 3;

/** Computed when it is asked for: of large data sets it takes a while. */
export function Statistics({ one, path }) {
  const [open, setOpen] = useState(false);
  return html`<section class="card" aria-label="What they are like"><details onToggle=${(event) => setOpen(event.target.open)}>
    <summary>What the pictures are like</summary>
    ${open && html`<${Inside} one=${one} path=${path} />`}
  </details></section>`;
}

function Inside({ one, path }) {
  const loaded = useLoaded((signal) => get(`${path}/statistics`, {}, { signal }), [path, one.revision]);
  const found = loaded.value;
  return html`<div class="stack">
    <${ProblemBox} problem=${loaded.problem} again=${loaded.again} />
    ${!found && loaded.busy && html`<p role="status">Looking at every picture</p>`}
    ${found && html`<div class="say">${words(found, one).map((text) => html`<p key=${text}>${text}</p>`)}</div>
      <div><h3>The darkest</h3><${Pictures} pictures=${found.darkest} label="The darkest" words=${light} size=${56} /></div>
      <div><h3>The lightest</h3><${Pictures} pictures=${found.lightest} label="The lightest" words=${light} size=${56} /></div>
      ${found.values.map((value) => html`<div key=${value.name}><h3>${value.name}: the least and the greatest</h3>
        <${Pictures} pictures=${[...new Map([...value.least, ...value.greatest].map((each) => [each.number, each])).values()]} label=${value.name} words=${(each) => precise(each.value)} size=${56} /></div>`)}`}
  </div>`;
}

function light(one) {
  return `${Math.round(one.value)} of 255`;
}

function words(found, one) {
  const said = [];
  const names = CHANNELS[found.all.channels.length] ?? found.all.channels.map((_, at) => `channel ${at + 1}`);
  said.push(`In the mean a pixel is ${found.all.channels.map((channel, at) => `${names[at]} ${Math.round(channel.mean)}`).join(", ")} of 255, and spread by ${found.all.channels.map((channel) => Math.round(channel.std)).join(", ")}.`);
  const used = found.classes.filter((each) => each.images);
  if (used.length > 1) {
    const by = used.toSorted((a, b) => a.images - b.images);
    const [least, most] = [by[0], by.at(-1)];
    said.push(most.images >= UNEVEN * least.images
      ? `The classes are uneven: ${most.name} has ${count(most.images, "picture")}, ${least.name} only ${count(least.images, "picture")}. More of the latter would help.`
      : `All have about as many pictures: from ${count(least.images, "picture")} (${least.name}) to ${most.images.toLocaleString("en")} (${most.name}).`);
  }
  const empty = found.classes.filter((each) => Object.values(each.splits).includes(0)).map((each) => each.name);
  if (empty.length) said.push(`Without pictures in one of the splits: ${empty.slice(0, 10).join(", ")}${empty.length > 10 ? ` and ${empty.length - 10} more` : ""}.`);
  for (const value of found.values) said.push(`${value.name} lies between ${precise(value.all.min)} and ${precise(value.all.max)}, ${precise(value.all.mean)} in the mean.`);
  if (one.report.counts?.duplicate) said.push(`${count(one.report.counts.duplicate, "file")} of the upload were there already and were left out.`);
  said.push("Near-duplicates and labels that may be wrong are found by a training run: its report shows them.");
  return said;
}
