/** Which view is shown, and with what: "#/look?model=model_example" is the view "look" with one parameter. */
import { useEffect, useState } from "./html.js";

/** The view and the parameters that the address names, and the address `from` which `wayOn` goes on. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path, params: Object.fromEntries(new URLSearchParams(query)), from: location.hash };
}

/** The address of a view, for links. Parameters that are null or empty are left out. */
export function link(view, params = {}) {
  const query = new URLSearchParams(
    Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== ""),
  ).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Where the reader is: the same while what is shown there is only narrowed or sorted, though the address changes. */
let spot = { hash: location.hash };

/** Go to a view; with `replace` without an entry in the browser's history: the reader stays where he is. */
export function go(view, params, { replace = false } = {}) {
  if (replace) {
    const before = location.hash;
    history.replaceState(null, "", link(view, params));
    if (spot.hash === before) spot.hash = location.hash;
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = link(view, params);
  }
}

/** A `go` for what takes a while: it goes nowhere once the reader has gone elsewhere. */
export function wayOn(from = location.hash) {
  if (spot.hash !== from) spot = { hash: from };
  const begun = spot;
  return (...to) => {
    if (location.hash === begun.hash) go(...to);
  };
}

/** The place, followed. */
export function usePlace() {
  const [now, setNow] = useState(place);
  useEffect(() => {
    const changed = () => setNow(place());
    addEventListener("hashchange", changed);
    // it may have changed before anybody listened
    changed();
    return () => removeEventListener("hashchange", changed);
  }, []);
  return now;
}
