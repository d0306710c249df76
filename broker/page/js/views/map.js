// The map: exchanges, bindings and queues as a picture that moves.

import { h, render } from "../dom.js";
import { loadVhosts, noPermissions, vhostChoice, vhostOf } from "../access.js";
import { download, path, withQuery } from "../api.js";
import { count, plural, rate } from "../format.js";
import { highlight, picture, standAlone, whole } from "../drawing.js";
import { LEVELS, edgeWords, graphOf, nameOf } from "../graph.js";
import { layout } from "../layout.js";
import { table } from "../table.js";
import { zoomable } from "../zoom.js";

/** The address of the page of a queue or an exchange. */
export function pageOf(vhost, { kind, name, missing }) {
  if (missing) return undefined;
  const parts = [vhost, kind === "exchange" ? name || "amq.default" : name].map(encodeURIComponent);
  return `#/${kind === "exchange" ? "exchanges" : "queues"}/${parts.join("/")}`;
}

// The size of the frame, which has the width of the page, but for a scroll bar.
function room() {
  const main = getComputedStyle(document.querySelector("main"));
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return [parseFloat(main.width) - parseFloat(main.paddingLeft) - parseFloat(main.paddingRight) - 18, Math.max(20 * rem, innerHeight - 17 * rem) - 4];
}

// At the scale 1 the smallest text has 10 pixels: a large map begins so at its top left, a small one fills the frame.
function sizes({ plan, room: [width, height], scale, fitted }) {
  const size = whole(plan).slice(2);
  const fit = Math.min(width / size[0], height / size[1], 1.25);
  return { size, fit, scale: scale ?? (fitted ? fit : Math.max(fit, 1)) };
}

// A picture that is shown as a whole has the shape of its frame, so that it can be as large as possible.
function planOf(graph, state) {
  const at = (part) => layout(graph, { room: state.room.map((pixels) => Math.round(pixels / part)), previous: state.plan });
  if (!state.fitted) return at(1);
  let plan = state.part && at(state.part);
  if (plan === state.plan) return plan;
  for (state.part = 1; (plan = at(state.part)) && sizes({ ...state, plan }).fit < state.part && state.part > 0.05;) state.part *= 0.9;
  return plan;
}

// Again, and the text is as large as before.
function fit(state) {
  Object.assign(state, { fitted: state.scale !== null || !state.fitted, scale: null, part: null });
  state.redraw();
}

function address(view, node) {
  return node.kind === "group" ? view.link({ prefix: node.name }) : pageOf(vhostOf(view), node);
}

// What is opened can be closed again: each separator in the prefix is a step.
function steps(view) {
  const { prefix } = view.query;
  if (!prefix) return null;
  const ends = [...prefix.matchAll(/[._:/-]/g)].map(({ index }) => prefix.slice(0, index + 1));
  const above = ends.filter((one) => one !== prefix).slice(-4);
  return h("nav.steps", { "aria-label": "Groups" },
    h("a", { href: view.link({ prefix: undefined }) }, "All queues"),
    above.map((one) => [" › ", h("a", { href: view.link({ prefix: one }), key: one }, `${one}*`)]),
    " › ", h("b", { "aria-current": "true" }, `${prefix}*`));
}

let typing;

function bar(view, plan) {
  const { name = "" } = view.query;
  const { total_queues: total, matching_queues: matching, edges_not_shown: hidden } = view.data;
  const button = (label, title, action) => h("button", { type: "button", title, "aria-label": title, onclick: action }, label);
  return h("div.bar", { role: "search" },
    vhostChoice(view, { prefix: undefined, name: undefined }),
    h("input", {
      type: "search", value: name, placeholder: "Search queues and exchanges", "aria-label": "Search queues and exchanges", "data-shortcut": "/",
      oninput: (event) => {
        clearTimeout(typing);
        const { value } = event.target;
        typing = setTimeout(() => view.go(view.link({ name: value || undefined }), { replace: true }), 250);
      },
    }),
    h("span.found", { role: "status" }, matching === total ? plural(total, "queue") : `${count(matching)} of ${plural(total, "queue")}`, hidden > 0 && `, without ${plural(hidden, "edge")}`),
    h("span.spring"),
    h("a", { href: withQuery("#/trace", { vhost: vhostOf(view) }) }, "Trace a message"),
    button("−", "Zoom out", () => view.state.zoom?.(0.8)),
    button("+", "Zoom in", () => view.state.zoom?.(1.25)),
    button("Fit", "Show the whole map", () => fit(view.state)),
    h("button", { type: "button", onclick: () => save(view, plan) }, "Save as SVG"));
}

function save(view, plan) {
  const vhost = vhostOf(view);
  const legend = [...document.querySelectorAll(".map-legend li")].map((entry) => [entry.firstChild, entry.textContent.trim()]);
  const text = standAlone(view.state.svg, plan, `Virtual host ${vhost}, ${new Date().toLocaleString()}`, legend);
  download(`map${vhost === "/" ? "" : `-${vhost.replace(/\W+/g, "_")}`}.svg`, text, "image/svg+xml");
}

function legend() {
  const sample = (...shapes) => h("svg.map.sample", { viewBox: "0 0 34 14", "aria-hidden": "true" }, shapes);
  const line = (kind, ...more) => sample(h("g", { class: `edge ${kind}` }, h("path.wire", { d: "M1 7H33", "stroke-width": more.length ? 4 : 1.6 }), more));
  const box = (name, content) => h("g", { class: `node queue ${name}` }, h("rect.card", { x: .5, y: .5, width: 33, height: 13, rx: 3 }), h("path.strip", { d: "M1 1h5v12h-5z" }), content);
  const entry = (drawn, text) => h("li", drawn, h("span", text));
  return h("ul.legend.map-legend", { "aria-label": "Legend" },
    LEVELS.map(([name, what], at) => entry(sample(box(`level-${at}`)), `${name}: ${what}`)),
    entry(sample(h("path.sign", { d: "M17 1l7 12h-14zM17 5v4M17 10.6v1" })), "Messages wait and no consumer takes them"),
    entry(line("binding"), "Binding"),
    entry(line("binding live", h("path.flow.medium", { d: "M1 7H33", "stroke-width": 2.4 })), "Carries messages, wider for more a second: at most the smaller of what can enter the source and what the queues behind it get"),
    entry(line("dead-letter"), "Dead letters"),
    entry(line("alternate"), "Alternate exchange"));
}

// The figures of the node below the pointer or with the focus.
function readout(node) {
  if (!node) return null;
  const facts = {
    exchange: [["Type", node.missing ? "does not exist: messages for it are dropped" : node.type], ["Bindings", count(node.bindings)]],
    queue: [["Type", node.type], ["Ready", count(node.messages_ready)], ["Unacknowledged", count(node.messages_unacknowledged)], ["Consumers", node.waiting ? "none, and messages wait" : count(node.consumers)]],
    group: [["Queues", count(node.queues)], ["Messages", count(node.messages)], ["Consumers", count(node.consumers)], ["Queues without a consumer", count(node.without_consumers)]],
  }[node.kind];
  return [h("b", nameOf(node)), h("dl.facts", [...facts, ["In", rate(node.in)], ["Out", rate(node.out)]].map(([name, value]) => [h("dt", name), h("dd", value ?? "–")]))];
}

// The element lives longer than one answer: what is shown now is in the state.
function mounted(state, svg) {
  state.svg = svg;
  state.zoom = zoomable(svg, state, () => sizes(state), () => fit(state));
  // The layout keeps to the width. Asking for it anew each time would take as long as drawing.
  new ResizeObserver(() => {
    if (!svg.isConnected || String(room()) === String(state.room)) return;
    state.room = room();
    state.redraw();
  }).observe(svg.parentNode);
  const look = (event) => {
    const id = event.target.closest?.("[data-id]")?.dataset.id ?? null;
    if (id === state.marked) return;
    mark(state, id);
  };
  for (const event of ["pointerover", "focusin"]) svg.addEventListener(event, look);
  for (const event of ["pointerleave", "focusout"]) svg.addEventListener(event, () => mark(state, null));
}

function mark(state, id) {
  state.marked = id;
  highlight(state.svg, id, state.graph.edges);
  render(state.svg.closest("figure").querySelector(".map-readout"), readout(state.graph.byId.get(id)));
}

function details(view, graph) {
  const { state } = view;
  const row = (node) => {
    const of = (near, far) => graph.edges.filter((edge) => edge[near] === node.id).map((edge) => [edge, graph.byId.get(edge[far])]);
    return { node, sources: of("to", "from"), targets: of("from", "to") };
  };
  const list = (edges, words) => h("ul.plain", edges.slice(0, 5).map(([edge, other]) => h("li", { key: edge.id }, words(edge, other))), edges.length > 5 && h("li.faint", `and ${count(edges.length - 5)} more`));
  const figure = (title, key, write = count) => ({ title, number: true, cell: ({ node }) => write(node[key]) });
  const columns = [
    { title: "Name", cell: ({ node }) => h("a", { href: address(view, node) }, nameOf(node)) },
    { title: "Kind", cell: ({ node }) => (node.kind === "exchange" ? `${node.missing ? "missing" : node.type} exchange` : node.kind === "group" ? plural(node.queues, "queue") : node.type === "stream" ? "stream" : "queue") },
    figure("Messages", "messages"),
    { title: "Consumers", number: true, cell: ({ node }) => [count(node.consumers), " ", node.waiting ? h("span.badge.bad", "no consumer") : node.without_consumers > 0 && h("span.faint", `(${count(node.without_consumers)} queues without)`)] },
    figure("In", "in", rate), figure("Out", "out", rate),
    { title: "From", cell: ({ node, sources }) => (node.default ? h("span.faint", "by name, through the default exchange") : list(sources, (edge, other) => edgeWords(edge, other, node))) },
    { title: "To", cell: ({ node, targets }) => list(targets, (edge, other) => edgeWords(edge, node, other)) },
  ];
  return h("details", { open: Boolean(state.table), ontoggle: (event) => { if (event.target.open !== Boolean(state.table)) { state.table = event.target.open; view.redraw(); } } },
    h("summary", "The same as a table"),
    state.table && table({ label: "What the map shows", columns, rows: graph.nodes.map(row), key: ({ node }) => node.id }));
}

function empty(view) {
  const { name, prefix } = view.query;
  if (name || prefix) return h("div.empty", h("p", name ? `No queue or exchange here has “${name}” in its name. ` : "No queue begins like this any more. ", h("a", { href: view.link({ name: undefined, prefix: undefined }) }, "Show all")));
  return h("div.empty", h("p", "There are no queues in this virtual host yet. Declare one on the page ", h("a", { href: "#/queues" }, "Queues"), " or from a program; bind it to an exchange, and the way of its messages appears here within five seconds."));
}

function drawn(view) {
  const { state, query, data } = view;
  const graph = (state.graph = graphOf(data));
  const place = JSON.stringify([vhostOf(view), query.prefix, query.name]);
  // Another picture begins at its beginning.
  if (state.place !== place) {
    Object.assign(state, { place, scale: null, fitted: false });
    state.svg?.parentNode?.scrollTo(0, 0);
  }
  Object.assign(state, { room: state.room ?? room(), redraw: view.redraw });
  const plan = (state.plan = planOf(graph, state));
  const wanted = query.name?.toLowerCase();
  const label = `Map of the virtual host ${vhostOf(view)}: ${plural(data.exchanges.length, "exchange")}, ${plural(data.matching_queues, "queue")}`;
  const { size, scale } = sizes(state);
  const svg = () => picture(graph, plan, {
    label, cache: (state.cache ??= new Map()), href: (node) => address(view, node), match: ({ name }) => wanted && name.toLowerCase().includes(wanted),
    viewBox: whole(plan).join(" "), style: { width: `${size[0] * scale}px`, height: `${size[1] * scale}px` }, onmount: (element) => mounted(state, element),
  });
  // The figures in the corner are those of this answer, too.
  if (state.marked) queueMicrotask(() => state.svg.isConnected && mark(state, state.marked));
  return [
    bar(view, plan),
    steps(view),
    h("figure.map-frame", graph.nodes.length ? [h("div.map-scroll", svg()), h("div.map-readout", { "aria-hidden": "true" })] : empty(view)),
    graph.nodes.length > 0 && [legend(), h("p.help", "Drag, the wheel and arrow keys move, + and −, pinching and the wheel with Ctrl zoom, 0 shows everything. The way of messages through a node appears below the pointer or with the focus."), details(view, graph)],
  ];
}

export const routes = [{
  path: "/map",
  title: (view) => (vhostOf(view) === undefined ? "Map" : `Map of ${vhostOf(view)}`),
  async load(view) {
    const vhosts = loadVhosts(view);
    if (view.query.vhost === undefined) await vhosts;
    const vhost = vhostOf(view);
    if (vhost === undefined) return null;
    const { name, prefix } = view.query;
    const answer = view.get(withQuery(path`/map/${vhost}`, { name, prefix })).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    });
    return (await Promise.all([answer, vhosts]))[0];
  },
  render: (view) => (view.data ? drawn(view) : [h("div.bar", vhostChoice(view, { prefix: undefined, name: undefined })), h("div.empty", noPermissions(view))]),
}];
