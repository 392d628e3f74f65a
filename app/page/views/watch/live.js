/** Lists and things that are kept up to date by the events of the service. */
import { all } from "../../lib/api.js";
import { follow, LOOK } from "../../lib/events.js";
import { useEffect, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";

const PAGE = 50;
const MOST_A_CALL = 200;
/** However much happens, things are loaded anew once in this time. */
const BREATH_MS = 700;
/** Which events say that a list is other than before: kinds of jobs, and its name in `changed`. */
const LISTS = {
  "v1/training-jobs": { kinds: ["training"], name: "jobs" },
  "v1/evaluations": { kinds: ["evaluation"], name: "jobs" },
  "v1/batch-predictions": { kinds: ["batch_prediction"], name: "jobs" },
  "v1/models": { kinds: [], name: "models" },
  "v1/datasets": { kinds: ["ingestion", "addition", "download"], name: "datasets" },
};

/** Does an event say that a list is other than before? What a row does meanwhile is told in full by its own events. */
function concerns(path, { event, data }) {
  if (event === LOOK) return true;
  if (["progress", "epoch"].includes(event)) return false;
  return event === "changed" ? data.lists.includes(LISTS[path].name) : LISTS[path].kinds.includes(data.kind);
}

/** Call `look()` soon after something has happened that `matters(message)`, as lib/events.js tells it. */
function useNews(matters, look) {
  const now = useRef();
  now.current = { matters, look };
  useEffect(() => {
    let timer = null;
    const stop = follow(null, (message) => {
      if (timer || !(message.event === LOOK || now.current.matters(message))) return;
      timer = setTimeout(() => {
        timer = null;
        now.current.look();
      }, BREATH_MS);
    });
    return () => (stop(), clearTimeout(timer));
  }, []);
}

/** Like useLoaded, and loaded again when something happens that `matters(message, value)`. */
export function useLive(work, inputs, matters) {
  const loaded = useLoaded(work, inputs);
  useNews((message) => matters(message, loaded.value), loaded.again);
  return loaded;
}

/**
 * Several lists of the service as one, newest first, page by page: {rows: [{...row, path}], more, problem, again, busy}.
 * `more` is null at the end. What is older than the last row of a list that goes on is not shown yet. Of many pages that
 * are open each asks for what may have changed, and for nothing else.
 */
export function useLists(paths, query = {}) {
  const [pages, setPages] = useState(1);
  const named = `${paths.join()} ${JSON.stringify(query)}`;
  useEffect(() => setPages(1), [named]);
  const kept = useRef(new Map());
  const news = useRef({});
  useEffect(() => {
    kept.current = new Map();
    return follow(null, (message) => paths.filter((path) => concerns(path, message)).forEach((path) => (news.current[path] = (news.current[path] ?? 0) + 1)));
  }, [named, pages]);
  const loaded = useLive(async (signal) => {
    const most = pages * PAGE;
    const lists = await Promise.all(paths.map(async (path) => {
      const turn = news.current[path] ?? 0;
      const known = kept.current.get(path);
      if (known?.turn === turn) return known.rows;
      const found = await all(path, { ...query, limit: Math.min(MOST_A_CALL, most + 1) }, most + 1, { signal });
      const rows = found.map((row) => ({ ...row, path }));
      kept.current.set(path, { turn, rows });
      return rows;
    }));
    const going = lists.filter((rows) => rows.length > most);
    const until = going.reduce((latest, rows) => (rows[most - 1].created_at > latest ? rows[most - 1].created_at : latest), "");
    const rows = lists.flatMap((list) => list.slice(0, most)).filter((row) => row.created_at >= until);
    rows.sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
    return { rows, more: going.length > 0 };
  }, [named, pages], (message) => paths.some((path) => concerns(path, message)));
  const rows = useProgress(loaded.value?.rows);
  return { ...loaded, rows, more: loaded.value?.more ? () => setPages(pages + 1) : null };
}

/** The rows with the progress and the figures that were told since they were loaded. */
function useProgress(rows) {
  const [told, setTold] = useState({});
  useEffect(() => follow(null, ({ event, data }) => {
    if (!["progress", "epoch"].includes(event)) return;
    const { job_id: job, kind, dataset_id: dataset, ...values } = data;
    const id = LISTS["v1/datasets"].kinds.includes(kind) ? dataset : job;
    setTold((before) => ({ ...before, [id]: { ...before[id], [event]: values } }));
  }), []);
  useEffect(() => setTold({}), [rows]);
  return rows?.map((row) => {
    const { progress, epoch } = told[row.id] ?? {};
    return { ...row, ...(progress && row.progress && { progress: { ...row.progress, ...progress } }), ...(epoch && { metrics: epoch }) };
  });
}

/**
 * A list whose pages are kept as they come, in its own order: {rows, more, problem, busy, again}. `load(after, signal)`
 * gives a page; `again()` loads as many as there are.
 */
export function usePages(load, inputs) {
  const [pages, setPages] = useState([]);
  const [state, setState] = useState({ busy: true, problem: null });
  const stopping = useRef(null);
  const fill = async (before, many) => {
    stopping.current?.abort();
    const { signal } = (stopping.current = new AbortController());
    setState({ busy: true, problem: null });
    try {
      const found = [...before];
      for (let turn = 0; turn < many && (turn === 0 || found.at(-1).next); turn += 1) found.push(await load(found.at(-1)?.next ?? null, signal));
      if (signal.aborted) return;
      setPages(found);
      setState({ busy: false, problem: null });
    } catch (problem) {
      if (!signal.aborted) setState({ busy: false, problem });
    }
  };
  useEffect(() => {
    // under the next heading those of the one before would be wrong
    setPages([]);
    fill([], 1);
    return () => stopping.current?.abort();
  }, inputs);
  const more = !state.busy && pages.at(-1)?.next ? () => fill(pages, 1) : null;
  return { ...state, rows: pages.flatMap((page) => page.data), more, again: () => fill([], Math.max(1, pages.length)) };
}
