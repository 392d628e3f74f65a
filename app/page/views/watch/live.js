/** Lists and things that are kept up to date by the events of the service. */
import { all } from "../../lib/api.js";
import { follow, LOOK } from "../../lib/events.js";
import { useEffect, useRef, useState } from "../../lib/html.js";
import { movesOthers } from "../../lib/jobs.js";
import { useLoaded } from "../../lib/load.js";
import { later, SOON, useNews, whenSeen } from "../../lib/news.js";

const PAGE = 50;
const MOST_A_CALL = 200;
/** Kinds of jobs that a list is about, and its name in `changed`. Of those with `rows` the events bring what is listed. */
const LISTS = {
  "v1/training-jobs": { kinds: ["training"], name: "jobs", rows: true },
  "v1/evaluations": { kinds: ["evaluation"], name: "jobs", rows: true },
  "v1/batch-predictions": { kinds: ["batch_prediction"], name: "jobs", rows: true },
  "v1/models": { kinds: [], name: "models" },
  "v1/datasets": { kinds: ["ingestion", "addition", "download"], name: "datasets" },
};

/** Like useLoaded, and loaded again some time after what `breath(message)` names, see useNews. */
export function useLive(work, inputs, breath) {
  const loaded = useLoaded(work, inputs);
  useNews(breath, loaded.again);
  return loaded;
}

/**
 * Has a list to be asked for after an event? Not for what the event brings itself: a job in another state, its progress,
 * its figures.
 */
function concerns(path, query, { event, data }) {
  const { kinds, name, rows: told } = LISTS[path];
  if (event === LOOK) return true;
  if (event === "changed") return data.lists.includes(name);
  if (!kinds.includes(data.kind)) return false;
  if (!told) return event === "status";
  return event === "job" && Boolean(query.contains || query.tag);
}

/** Does what waits in a list move up after an event? */
const moves = (path, { event, data }) => movesOthers(event, data) && LISTS[path].rows && LISTS[path].kinds.includes(data.kind);

/**
 * Several lists of the service as one, newest first, page by page: {rows: [{...row, path}], more, problem, again, busy}.
 * `more` is null at the end. What is older than the last row of a list that goes on is not shown yet. Of many pages that
 * are open each asks for what may have changed and was not told, and for nothing else.
 */
export function useLists(paths, query = {}) {
  const [pages, setPages] = useState(1);
  const named = `${paths.join()} ${JSON.stringify(query)}`;
  useEffect(() => setPages(1), [named]);
  const kept = useRef(new Map());
  const news = useRef({});
  const shown = useRef([]);
  const isOther = (path) => (news.current[path] = (news.current[path] ?? 0) + 1);
  useEffect(() => {
    kept.current = new Map();
    return follow(null, (message) => paths.filter((path) => concerns(path, query, message)).forEach(isOther));
  }, [named, pages]);
  const loaded = useLive(async (signal) => {
    const most = pages * PAGE;
    const lists = await Promise.all(paths.map(async (path) => {
      const turn = news.current[path] ?? 0;
      const known = kept.current.get(path);
      if (known?.turn === turn) return known;
      const asked = performance.now();
      const found = await all(path, { ...query, limit: Math.min(MOST_A_CALL, most + 1) }, most + 1, { signal });
      const list = { path, turn, asked, rows: found.map((row) => ({ ...row, path })) };
      kept.current.set(path, list);
      return list;
    }));
    const going = lists.filter(({ rows }) => rows.length > most);
    const until = going.reduce((latest, { rows }) => (rows[most - 1].created_at > latest ? rows[most - 1].created_at : latest), "");
    const rows = lists.flatMap((list) => list.rows.slice(0, most));
    return { rows, until, more: going.length > 0, asked: Object.fromEntries(lists.map(({ path, asked }) => [path, asked])) };
  }, [named, pages], (message) => paths.some((path) => concerns(path, query, message)) && SOON);
  useEffect(() => {
    let forget = () => {};
    const look = () => {
      // most often it was the one that waited
      const waiting = paths.filter((path) => shown.current.some((row) => row.path === path && row.status === "queued"));
      waiting.forEach(isOther);
      if (waiting.length) loaded.again();
    };
    const soon = later(SOON, () => {
      forget();
      forget = whenSeen(look);
    });
    const stop = follow(null, (message) => paths.some((path) => moves(path, message)) && soon());
    return () => (stop(), soon.stop(), forget());
  }, [named]);
  const rows = useTold(loaded.value, query);
  shown.current = rows ?? [];
  return { ...loaded, rows, more: loaded.value?.more ? () => setPages(pages + 1) : null };
}

/** The rows of lists, newest first, with what was told since they were asked for: `lists` is {rows, until, asked}. */
function useTold(lists, query) {
  const [told, setTold] = useState({});
  useEffect(() => follow(null, ({ event, data }) => {
    if (!["job", "progress", "epoch"].includes(event)) return;
    const { job_id: job, kind, dataset_id: dataset, ...values } = data;
    const path = Object.keys(LISTS).find((one) => LISTS[one].kinds.includes(kind));
    if (!path) return;
    const id = LISTS[path].rows ? job : dataset;
    const news = { [event]: values.job ?? values, at: performance.now() };
    // what is told in full is all that there is to tell
    setTold((before) => ({ ...before, [id]: { path, id, ...(event === "job" ? {} : before[id]), ...news } }));
  }), []);
  // what was told before a list was asked for is in it
  const isNews = ({ path, at }) => at >= (lists.asked[path] ?? Infinity);
  useEffect(() => {
    if (lists) setTold((before) => Object.fromEntries(Object.entries(before).filter(([, one]) => isNews(one))));
  }, [lists]);
  if (!lists) return undefined;
  const { status, contains, tag } = query;
  const news = Object.values(told).filter(isNews);
  const listed = new Set(lists.rows.map((row) => row.id));
  // whether a new one has that name or tag is for the service to say
  const others = contains || tag ? [] : news.filter((one) => one.job && !listed.has(one.id)).map(({ id, path }) => ({ id, path }));
  const rows = [...lists.rows, ...others].map((row) => {
    const { job, progress, epoch } = news.find((one) => one.id === row.id) ?? {};
    const now = { ...row, ...job };
    return { ...now, ...(progress && now.progress && { progress: { ...now.progress, ...progress } }), ...(epoch && { metrics: epoch }) };
  });
  const fits = (row) => row.created_at >= lists.until && (!status || !LISTS[row.path].rows || row.status === status);
  return rows.filter(fits).sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
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
