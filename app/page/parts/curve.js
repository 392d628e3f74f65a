/** Curves over epochs; uPlot is loaded when the first is shown. */
import { html, useEffect, useRef, useState } from "../lib/html.js";

let loading = null;

function library() {
  loading ??= import("../vendor/uplot.js").then((module) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL("../vendor/uplot.css", import.meta.url).href;
    document.head.append(sheet);
    return module.default;
  });
  return loading;
}

function last(plot) {
  if (plot.data[0].length) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}

function tokens() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

/**
 * `x`: numbers; `lines`: [{label, values, token, dash}] with `token` a colour of tokens.css ("--accent");
 * `format(number)` of the y axis; `range`: [least, most] or null; `logarithmic` gives each power of ten the same room;
 * `legend`: whether the lines are named below; `label` says in words what is shown.
 */
export function Curve({ x, lines, label, xLabel = "epoch", format = (one) => String(one), range = null, height = 190, logarithmic = false, legend = true }) {
  const place = useRef(null);
  const [plot, setPlot] = useState(null);
  const named = lines.map((line) => `${line.label}${line.token}${line.dash}`).join();
  useEffect(() => {
    let made = null;
    let gone = false;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = async () => {
      const Plot = await library();
      if (gone) return;
      made?.destroy();
      const token = tokens();
      const axis = { stroke: token("--soft"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
      made = new Plot(
        {
          width: place.current.clientWidth || 300,
          height,
          scales: { x: { time: false }, y: { ...(range && { range: () => range }), ...(logarithmic && { distr: 3 }) } },
          legend: { show: legend },
          axes: [
            { ...axis, size: 30, values: (_, ticks) => ticks.map((one) => (Number.isInteger(one) ? one : "")) },
            { ...axis, size: 56, values: (_, ticks) => ticks.map((one) => (one === null ? "" : format(one))) },
          ],
          series: [
            { label: xLabel },
            ...lines.map((line) => ({
              label: line.label, stroke: token(line.token), width: 2, dash: line.dash, spanGaps: true,
              points: { show: (plot) => plot.data[0].length < 3 }, value: (_, one) => (one === null ? "–" : format(one)),
            })),
          ],
          cursor: { drag: { x: false, y: false } },
          // where nothing is pointed at, the legend says how it is in the last epoch
          hooks: { setCursor: [(plot) => plot.cursor.idx ?? last(plot)] },
        },
        [x, ...lines.map((line) => line.values)],
        place.current,
      );
      setPlot(made);
    };
    draw();
    scheme.addEventListener("change", draw);
    const sizes = new ResizeObserver(() => made?.setSize({ width: place.current.clientWidth, height }));
    sizes.observe(place.current);
    return () => {
      gone = true;
      sizes.disconnect();
      scheme.removeEventListener("change", draw);
      made?.destroy();
    };
  }, [named, height]);
  useEffect(() => {
    plot?.setData([x, ...lines.map((line) => line.values)]);
    if (plot) last(plot);
  }, [plot, x, lines]);
  return html`<div class="curve" role="img" aria-label=${label} ref=${place} style=${{ minHeight: `${height + 30}px` }}></div>`;
}
