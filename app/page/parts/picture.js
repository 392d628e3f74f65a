/** Pictures of the service. `<img>` cannot carry a key, so with one they come as blobs. */
import { address, blob } from "../lib/api.js";
import { html, useEffect, useState } from "../lib/html.js";
import { key } from "../lib/key.js";

/** `path` of the service, `alt` always; further properties are those of <img>. */
export function Picture({ path, query, alt, class: name = "", ...rest }) {
  const wanted = address(path, query);
  const [source, setSource] = useState(() => (key() ? null : wanted));
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    setFailed(false);
    if (!key()) {
      setSource(wanted);
      return undefined;
    }
    const stopping = new AbortController();
    let made = null;
    blob(wanted, { signal: stopping.signal, accept: "image/*" }).then(
      (content) => setSource((made = URL.createObjectURL(content))),
      () => stopping.signal.aborted || setFailed(true),
    );
    return () => {
      stopping.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [wanted]);
  return html`<img class=${`picture ${name}`} alt=${failed ? `${alt} (could not be loaded)` : alt} src=${source}
    onError=${() => setFailed(true)} ...${rest} />`;
}

/** A file or a Blob as a picture; one that is shown larger than it is keeps its pixels. */
export function LocalPicture({ file, alt, class: name = "", ...rest }) {
  const [source, setSource] = useState(null);
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setSource(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return html`<img class=${`picture ${name}`} alt=${alt} src=${source}
    onLoad=${({ target }) => target.classList.toggle("pixels", target.naturalWidth < target.clientWidth)} ...${rest} />`;
}
