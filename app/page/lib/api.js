/**
 * Calls of the service. Paths are relative to the page ("v1/models"), so that a root path works; every failure is
 * a Problem with the service's own words.
 */
import { askForKey, key } from "./key.js";

/** What went wrong, in the words of the answer (application/problem+json), or of the way to it (status 0). */
export class Problem extends Error {
  constructor(status, body = {}) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.type = body.type ?? "";
    this.title = body.title ?? "";
    /** Each with `detail`, perhaps `hint`, and where: `pointer` or `parameter`. */
    this.errors = body.errors ?? [];
    this.numbers = body.numbers ?? {};
    this.hint = body.hint ?? "";
  }

  /** The fault at a JSON pointer of the body that was sent, if there is one. */
  at(pointer) {
    return this.errors.find((one) => one.pointer === pointer);
  }
}

const UNREACHABLE = {
  title: "The server cannot be reached",
  detail: "The server cannot be reached. It may have been stopped, or be starting again.",
  hint: "Nothing that it has stored is lost. Try again in a moment.",
};

/** The absolute address of a path of the service, with a query; arrays are repeated parameters, null is left out. */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) {
      if (one !== null && one !== undefined && one !== "") url.searchParams.append(name, one);
    }
  }
  return url.href;
}

/**
 * Make a call and return its Response, which is a good one; else throw a Problem.
 * options: method, query, json, body, accept, headers, signal.
 */
export async function request(path, options = {}) {
  const { query, json, accept = "application/json", headers = {}, ...rest } = options;
  const sent = { Accept: accept, ...headers };
  if (json !== undefined) {
    sent["Content-Type"] = "application/json";
    rest.body = JSON.stringify(json);
    rest.method ??= "POST";
  }
  for (;;) {
    const used = key();
    if (used) sent.Authorization = `Bearer ${used}`;
    let answer;
    try {
      // the key is ours to send: a browser's own question for a password would come in between
      answer = await fetch(address(path, query), { ...rest, headers: sent, credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, UNREACHABLE);
    }
    if (answer.status === 401) {
      await askForKey(used);
      continue;
    }
    if (!answer.ok) throw await problem(answer);
    return answer;
  }
}

async function problem(answer) {
  return new Problem(answer.status, await answer.json().catch(() => ({})));
}

/** The body of an answer; a server that goes away in the middle of it cannot be reached either. */
async function body(answer, kind = "json") {
  try {
    return await answer[kind]();
  } catch (error) {
    throw error instanceof TypeError ? new Problem(0, UNREACHABLE) : error;
  }
}

/** GET a path as JSON. */
export async function get(path, query, options) {
  return body(await request(path, { query, ...options }));
}

/** POST JSON, or a FormData, and return the answer's JSON. */
export async function post(path, what, options) {
  const content = what instanceof FormData ? { body: what, method: "POST" } : { json: what };
  return body(await request(path, { ...content, ...options }));
}

/** Send PUT, PATCH or DELETE and return the answer's JSON, null if it has none. */
export async function send(method, path, json, options) {
  const answer = await request(path, { method, json, ...options });
  return answer.status === 204 ? null : body(answer);
}

/** All things of a list, page after page, at most `most`. */
export async function all(path, query = {}, most = 1000, options = {}) {
  const found = [];
  let after = null;
  do {
    const page = await get(path, { limit: 100, ...query, after }, options);
    found.push(...page.data);
    after = page.next;
  } while (after && found.length < most);
  return found.slice(0, most);
}

/** The body of a call that takes a picture: a File, or a Blob, which has no name. */
export function pictureForm(file) {
  const form = new FormData();
  form.append("files", file, file.name ?? "picture.jpg");
  return form;
}

/** GET or POST something that is a picture, or another file, as a Blob. */
export async function blob(path, options) {
  return body(await request(path, { accept: "*/*", ...options }), "blob");
}

/**
 * POST a form with its progress, which fetch cannot tell: `onprogress(share)` from 0 to 1.
 * Returns {json, headers} of a good answer; throws a Problem, or an AbortError when `signal` says so.
 */
export async function upload(path, form, { onprogress, signal, query } = {}) {
  for (;;) {
    const used = key();
    const answer = await transfer(address(path, query), form, used, onprogress, signal);
    if (answer.status === 401) {
      await askForKey(used);
      continue;
    }
    const said = parsed(answer.responseText);
    if (answer.status < 200 || answer.status > 299) throw new Problem(answer.status, said);
    return { json: said, headers: { get: (name) => answer.getResponseHeader(name) } };
  }
}

function transfer(url, form, used, onprogress, signal) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", url);
    call.setRequestHeader("Accept", "application/json");
    if (used) call.setRequestHeader("Authorization", `Bearer ${used}`);
    call.upload.onprogress = (event) => event.lengthComputable && onprogress?.(event.loaded / event.total);
    call.onload = () => resolve(call);
    call.onerror = () => reject(new Problem(0, UNREACHABLE));
    call.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal?.addEventListener("abort", () => call.abort(), { once: true });
    if (signal?.aborted) return reject(new DOMException("stopped", "AbortError"));
    call.send(form);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
