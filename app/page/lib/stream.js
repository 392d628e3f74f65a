/** Server-sent events, read by fetch: the key goes in a header, which EventSource cannot send. */

/**
 * Read the events of a Response until it ends. `on.life()` is called for everything that comes, comments too;
 * `on.event({event, id, data})` for each event, and for each id by itself, then without `event`.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export async function readEvents(answer, on) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let fields = {};
  for (;;) {
    const { done, value } = await reader.read();
    // half an event at the end is none
    if (done) return;
    on.life();
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line) {
        const [, name, content] = line.match(/^([^:]*):? ?(.*)$/);
        fields[name] = name === "data" && "data" in fields ? `${fields.data}\n${content}` : content;
        continue;
      }
      const { event, id = null, data } = fields;
      if (data !== undefined) on.event({ event: event ?? "message", id, data: JSON.parse(data) });
      else if (id !== null) on.event({ id });
      fields = {};
    }
  }
}
