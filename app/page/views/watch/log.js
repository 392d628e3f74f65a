/** The log of a job: its end is in view as it grows, unless somebody has scrolled back. */
import { request } from "../../lib/api.js";
import { html, useEffect, useRef } from "../../lib/html.js";
import { ProblemBox } from "../../parts/problem.js";
import { useLive } from "./live.js";

/** `path` of the job, and whether it still goes on. */
export function Log({ path, going }) {
  const log = useLive(async (signal) => (await request(`${path}/log`, { accept: "text/plain", signal })).text(), [path, going], ({ event, data }) => event !== "progress" && path.endsWith(`/${data.job_id}`));
  const place = useRef(null);
  const follows = useRef(true);
  useEffect(() => {
    if (place.current && follows.current) place.current.scrollTop = place.current.scrollHeight;
  }, [log.value]);
  const scrolled = ({ target }) => (follows.current = target.scrollTop + target.clientHeight >= target.scrollHeight - 8);
  return html`<section class="card" aria-label="Log"><h2>Log</h2>
    <${ProblemBox} problem=${log.problem} again=${log.again} />
    <pre class="log" ref=${place} tabIndex="0" role="log" aria-live="off" aria-label="What the processes of the job have printed" onScroll=${scrolled}>${log.value === "" ? "Nothing was printed." : log.value}</pre>
  </section>`;
}
