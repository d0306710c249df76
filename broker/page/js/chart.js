// Charts of samples over time, as SVG: lines with axes and values under the pointer, and small ones for rows.

import { h } from "./dom.js";
import { brief, bytes, byteRate, rate, count, timeWithin } from "./format.js";

const HEIGHT = 180;
const LEFT = 52;
const BOTTOM = 20;
const TOP = 8;
// Where it is narrow, so is the drawing: what is scaled down cannot be read.
const narrow = matchMedia("(max-width: 30rem)");
// Quarters of the largest tick have no more digits.
const exactly = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

let startedAt = 0;

/** Samples from before this time, in milliseconds, are not drawn: there was no broker. */
export function drawSince(time = 0) {
  startedAt = time;
}

/** The ranges that a chart can show: how far back, and how many seconds apart, as the API's parameters. */
export const RANGES = {
  "1m": { title: "Last minute", age: 60, step: 5 },
  "10m": { title: "Last 10 minutes", age: 600, step: 5 },
  "1h": { title: "Last hour", age: 3600, step: 60 },
  "1d": { title: "Last day", age: 86400, step: 1200 },
};

/** Returns the query parameters that ask for the samples of a range. */
export function samplesQuery(range, kinds = ["lengths", "msg_rates"]) {
  const { age, step } = RANGES[range] ?? RANGES["10m"];
  return Object.fromEntries(kinds.flatMap((kind) => [[`${kind}_age`, age], [`${kind}_incr`, step]]));
}

/** Returns the points [time, value] of a `…_details` object, oldest first. */
export function levels(details) {
  return (details?.samples ?? []).filter(({ timestamp }) => timestamp >= startedAt).map(({ sample, timestamp }) => [timestamp, sample]).reverse();
}

/** Returns the points [time, change per second] of a `…_details` object of a counter, oldest first. */
export function rates(details) {
  const points = levels(details);
  return points.slice(1).map(([time, value], index) => {
    const [earlier, before] = points[index];
    return [time, Math.max(0, (value - before) / ((time - earlier) / 1000 || 1))];
  });
}

const UNITS = {
  count: { axis: (tick) => brief(tick, exactly), value: count },
  rate: { axis: (tick) => brief(tick, exactly), value: rate },
  bytes: { axis: bytes, value: bytes, binary: true },
  byteRate: { axis: bytes, value: byteRate, binary: true },
};

function niceMaximum(value, binary) {
  // Bytes have no quarters.
  if (binary && value < 4) return 4;
  if (value <= 0) return 1;
  const base = binary ? 1024 : 10;
  const size = base ** Math.floor(Math.log(value) / Math.log(base));
  const steps = binary ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 4, 5, 10];
  return size * steps.find((step) => step * size >= value);
}

/**
 * A chart with a legend. `series`: [{name, points: [[ms, value]], color: 1..8, title?}], `unit`: count, rate, bytes, byteRate;
 * `limit`: {value, name} draws a line that is not to be crossed; `heading` is the level of the title.
 */
export function chart({ title, series, unit = "count", limit, heading = 2, empty = "There are no samples yet." }) {
  const { axis, value: written, binary } = UNITS[unit];
  const shown = series.filter(({ points }) => points.length > 0);
  const latest = (points) => points.at(-1)?.[1];
  const summary = shown.map(({ name, points }) => `${name} ${written(latest(points))}`).join(", ");
  const legend = h("ul.legend", series.map(({ name, points, color, title }) =>
    h("li", { title }, h(`span.swatch.c${color}`), name, " ", h("b", points.length ? written(latest(points)) : "–"))));
  const head = h("figcaption", h(`h${heading}`, title), legend);
  if (!shown.some(({ points }) => points.length > 1)) return h("figure.chart", head, h("p.empty", empty));
  const width = narrow.matches ? 340 : 560;
  const times = shown.flatMap(({ points }) => [points[0][0], points.at(-1)[0]]);
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const highest = Math.max(...shown.flatMap(({ points }) => points.map(([, value]) => value)), limit && latest(shown[0].points) > limit.value / 2 ? limit.value : 0);
  const top = niceMaximum(highest, binary);
  const x = (time) => LEFT + ((time - from) / (to - from || 1)) * (width - LEFT - 4);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => part * top).filter((tick) => unit === "rate" || Number.isInteger(tick));
  const line = (points) => points.map(([time, value], index) => `${index ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const parts = narrow.matches ? 2 : 4;
  const clock = Array.from({ length: parts + 1 }, (_, part) => from + (part / parts) * (to - from));
  const svg = h("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${summary}`, onpointermove: point, onpointerleave: leave },
    ticks.map((tick) => [
      h("line.grid", { x1: LEFT, x2: width - 4, y1: y(tick), y2: y(tick) }),
      h("text.axis", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, axis(tick)),
    ]),
    clock.map((time, index) => h("text.axis", { x: x(time), y: HEIGHT - 5, "text-anchor": index === 0 ? "start" : index === parts ? "end" : "middle" }, timeWithin(to - from, time))),
    limit && limit.value <= top && [
      h("line.limit", { x1: LEFT, x2: width - 4, y1: y(limit.value), y2: y(limit.value) }),
      h("text.axis", { x: width - 6, y: y(limit.value) - 4, "text-anchor": "end" }, limit.name),
    ],
    [...shown].reverse().map(({ points, color, name }) => h(`path.line.c${color}`, { key: name, d: line(points) })),
    h("line.cursor", { x1: -9, x2: -9, y1: TOP, y2: HEIGHT - BOTTOM }));
  const readout = h("p.readout", { "aria-hidden": "true" });
  return h("figure.chart", head, svg, readout);

  function point(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const time = from + ((((event.clientX - box.left) / box.width) * width - LEFT) / (width - LEFT - 4)) * (to - from);
    const nearest = (points) => points.reduce((best, one) => (Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best));
    const [at] = nearest(shown[0].points);
    const cursor = event.currentTarget.querySelector(".cursor");
    cursor.setAttribute("x1", x(at));
    cursor.setAttribute("x2", x(at));
    const values = shown.map(({ name, points }) => `${name} ${written(nearest(points)[1])}`);
    event.currentTarget.nextElementSibling.textContent = `${timeWithin(to - from, at)}  ${values.join("  ")}`;
  }
  function leave(event) {
    const cursor = event.currentTarget.querySelector(".cursor");
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
    event.currentTarget.nextElementSibling.textContent = "";
  }
}

/** A line without axes for a table's row; `label` says what it shows. */
export function sparkline(points, label, color = 1) {
  const [width, height] = [90, 20];
  if (points.length < 2) return h("span.sparkline", { title: "There are no samples yet." });
  const top = Math.max(...points.map(([, value]) => value)) || 1;
  const [from, to] = [points[0][0], points.at(-1)[0]];
  const d = points.map(([time, value], index) => {
    const x = 1 + ((time - from) / (to - from || 1)) * (width - 2);
    return `${index ? "L" : "M"}${x.toFixed(1)} ${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`;
  });
  return h("svg.sparkline", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, h(`path.line.c${color}`, { d: d.join("") }));
}

/** Links that choose the range of the page's charts. */
export function rangeChoice(view, ranges = ["10m", "1h", "1d"]) {
  const chosen = view.query.range ?? "10m";
  return h("nav.choice", { "aria-label": "Range of the charts" }, ranges.map((range) =>
    h("a", { href: view.link({ range: range === "10m" ? undefined : range }), "aria-current": range === chosen ? "true" : undefined }, RANGES[range].title)));
}
