/**
 * The log of a job: its end is in view as it grows, unless somebody has scrolled back. It is asked for while it is in view:
 * it stands below what says more, and grows with every epoch.
 */
import { request } from "../../lib/api.js";
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { SELDOM, SOON } from "../../lib/news.js";
import { ProblemBox } from "../../parts/problem.js";
import { useLive } from "./live.js";

/** `path` of the job. */
export function Log({ path }) {
  const section = useRef(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const watching = new IntersectionObserver(([one]) => setSeen(one.isIntersecting));
    watching.observe(section.current);
    return () => watching.disconnect();
  }, []);
  const last = useRef(null);
  const log = useLive(async (signal) => {
    if (seen) last.current = await (await request(`${path}/log`, { accept: "text/plain", signal })).text();
    return last.current;
  }, [path, seen], ({ event, data }) => path.endsWith(`/${data.job_id}`) && ({ status: SOON, epoch: SELDOM }[event] ?? 0));
  const place = useRef(null);
  const follows = useRef(true);
  useEffect(() => {
    if (place.current && follows.current) place.current.scrollTop = place.current.scrollHeight;
  }, [log.value]);
  const scrolled = ({ target }) => (follows.current = target.scrollTop + target.clientHeight >= target.scrollHeight - 8);
  return html`<section class="card" aria-label="Log" ref=${section}><h2>Log</h2>
    <${ProblemBox} problem=${log.problem} again=${log.again} />
    <pre class="log" ref=${place} tabIndex="0" role="log" aria-live="off" aria-label="What the processes of the job have printed" onScroll=${scrolled}>${log.value === "" ? "Nothing was printed." : log.value}</pre>
  </section>`;
}
