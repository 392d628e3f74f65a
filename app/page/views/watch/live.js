/** Lists and things that are kept up to date. */
import { all } from "../../lib/api.js";
import { useEffect, useRef, useState } from "../../lib/html.js";
import { useLoaded } from "../../lib/load.js";

const LOOK_MS = 1500;
const PAGE = 50;
const MOST_A_CALL = 200;

/** Call `look()` from time to time while `wanted`, and never in a tab that nobody sees. */
export function useNews(wanted, look) {
  const now = useRef(look);
  now.current = look;
  useEffect(() => {
    if (!wanted) return undefined;
    const timer = setInterval(() => document.hidden || now.current(), LOOK_MS);
    return () => clearInterval(timer);
  }, [wanted]);
}

/** Like useLoaded, and loaded again while `active(value)`. A server that is away for a while is waited for. */
export function useLive(work, inputs, active) {
  const loaded = useLoaded(work, inputs);
  const away = loaded.problem?.status === 0;
  useNews(away || (!loaded.problem && loaded.value !== null && active(loaded.value)), loaded.again);
  return loaded;
}

/**
 * Several lists of the service as one, newest first, page by page: {rows: [{...row, path}], more, problem, again, busy}.
 * `more` is null at the end. What is older than the last row of a list that goes on is not shown yet.
 */
export function useLists(paths, query = {}) {
  const [pages, setPages] = useState(1);
  const named = `${paths.join()} ${JSON.stringify(query)}`;
  useEffect(() => setPages(1), [named]);
  const loaded = useLoaded(async (signal) => {
    const most = pages * PAGE;
    const lists = await Promise.all(paths.map(async (path) => {
      const rows = await all(path, { ...query, limit: Math.min(MOST_A_CALL, most + 1) }, most + 1, { signal });
      return rows.map((row) => ({ ...row, path }));
    }));
    const going = lists.filter((rows) => rows.length > most);
    const until = going.reduce((latest, rows) => (rows[most - 1].created_at > latest ? rows[most - 1].created_at : latest), "");
    const rows = lists.flatMap((list) => list.slice(0, most)).filter((row) => row.created_at >= until);
    rows.sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
    return { rows, more: going.length > 0 };
  }, [named, pages]);
  return { ...loaded, rows: loaded.value?.rows, more: loaded.value?.more ? () => setPages(pages + 1) : null };
}

/**
 * A list whose pages are kept as they come, in its own order: {rows, more, problem, busy, again}. For what does not
 * change by itself.
 */
export function usePages(load, inputs) {
  const [pages, setPages] = useState([]);
  const [state, setState] = useState({ busy: true, problem: null });
  const [turn, setTurn] = useState(0);
  const stopping = useRef(null);
  const next = async (before) => {
    stopping.current?.abort();
    const mine = (stopping.current = new AbortController());
    setState({ busy: true, problem: null });
    try {
      const page = await load(before.at(-1)?.next ?? null, mine.signal);
      if (mine.signal.aborted) return;
      setPages([...before, page]);
      setState({ busy: false, problem: null });
    } catch (problem) {
      if (!mine.signal.aborted) setState({ busy: false, problem });
    }
  };
  useEffect(() => {
    setPages([]);
    next([]);
    return () => stopping.current?.abort();
  }, [...inputs, turn]);
  const more = !state.busy && pages.at(-1)?.next ? () => next(pages) : null;
  return { ...state, rows: pages.flatMap((page) => page.data), more, again: () => setTurn(turn + 1) };
}
