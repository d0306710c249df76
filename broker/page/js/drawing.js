// Draws a graph as SVG: cards for nodes, curves for edges, and the same as a file that stands alone.

import { h } from "./dom.js";
import { edgeWords, figures, nameOf, waysThrough, words } from "./graph.js";
import { CARD, MARGIN } from "./layout.js";

const ruler = document.createElement("canvas").getContext("2d");
const measured = new Map();

function remembered(key, find) {
  // Names come and go; what is drawn now is far less.
  if (measured.size > 20000) measured.clear();
  if (!measured.has(key)) measured.set(key, find());
  return measured.get(key);
}

function widthOf(text, font) {
  return remembered(`${font} ${text}`, () => {
    ruler.font = `${font} system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif`;
    return ruler.measureText(text).width;
  });
}

// Cuts a name in its middle, as what differs is often at the end.
function clip(name, width, font) {
  return remembered(`${font} ${width} ${name}`, () => {
    const signs = [...name.slice(0, 300)];
    let [shown, kept] = [name, Math.min(signs.length, 60)];
    while (kept > 1 && widthOf(shown, font) > width) {
      kept -= 1;
      shown = `${signs.slice(0, Math.ceil(kept / 2)).join("")}…${signs.slice(signs.length - Math.floor(kept / 2)).join("")}`;
    }
    return shown;
  });
}

// Loud where someone has to look: a sign and words, not a colour alone.
function sign(x, y) {
  return h("path.sign", { d: `M${x} ${y - 9}l5.2 9.4h-10.4zM${x} ${y - 5.6}v3.2M${x} ${y - 1.6}v.9` });
}

// The second line: what is there on the left, what is done with it on the right.
function status(node, inset) {
  const [left, right] = figures(node);
  const end = CARD.width - inset;
  const start = inset + (node.missing ? 14 : 0);
  const free = end - start - widthOf(right, "600 10.5px") - (node.waiting ? 18 : 6);
  return [
    node.missing && sign(inset + 5, 31),
    h("text.figures", { x: start, y: 31, class: node.missing ? "loud" : undefined }, widthOf(left, "10.5px") > free ? left.replace(/ messages?$/, "") : left),
    node.waiting && sign(end - 10 - widthOf(right, "600 10.5px"), 31),
    h("text.figures.end", { x: end, y: 31, class: node.waiting ? "loud" : undefined }, right),
  ];
}

function card(node, { x, y }, href, match) {
  const { width, height } = CARD;
  const [inset, rx] = node.kind === "exchange" ? [16, height / 2] : [12, 6];
  const name = nameOf(node);
  const group = node.kind === "group";
  const shown = clip(name, width - 2 * inset, group ? "600 12.5px" : "12.5px");
  const classes = [node.kind, `level-${node.level}`, node.waiting && "waiting", node.missing && "missing", match && "match", node.type === "stream" && "stream"];
  return h("a", { key: node.id, class: `node ${classes.filter(Boolean).join(" ")}`, href, "data-id": node.id, "aria-label": words(node), transform: `translate(${x} ${y})` },
    shown !== name && h("title", name),
    group && [6, 3].map((shift) => h("rect.card", { width, height, rx, x: shift, y: shift })),
    h("rect.card", { width, height, rx }),
    node.kind !== "exchange" && h("path.strip", { d: `M5.5 .5H6V${height - .5}H5.5a5 5 0 0 1-5-5v-${height - 11}a5 5 0 0 1 5-5z` }),
    h("text.name", { x: inset, y: 16 }, shown),
    status(node, inset));
}

// By the order of magnitude: 10,000 a second are not a thousand times as wide as 10. Between several columns lines lie closer.
function thickness(rate, single) {
  if (!(rate > 0)) return 1.4;
  return single ? Math.min(9, 1.6 + 1.7 * Math.log10(1 + rate)) : Math.min(4.5, 1.4 + 0.8 * Math.log10(1 + rate));
}

function line(edge, { curves, single }, byId) {
  const { d, tip } = curves.get(edge.id);
  const width = (edge.traced ? 2.4 : thickness(edge.rate, single)).toFixed(1);
  const moves = edge.rate > 0 || edge.traced;
  const speed = edge.rate >= 100 ? "fast" : edge.rate >= 5 ? "medium" : "slow";
  return h("g", { key: edge.id, class: `edge ${edge.kind}${moves ? " live" : ""}`, "data-edge": edge.id },
    h("title", edgeWords(edge, byId.get(edge.from), byId.get(edge.to))),
    h("path.wire", { d, "stroke-width": width }),
    h("path.tip", { d: tip }),
    moves && h(`path.flow.${speed}`, { d, "stroke-width": Math.max(1.6, width * 0.5).toFixed(1) }));
}

// The key stands before the card where there is room and only one edge comes.
function keys(edges, plan) {
  if (!plan.single) return null;
  const incoming = new Map();
  for (const edge of edges) if (edge.kind !== "dead-letter") incoming.set(edge.to, [...(incoming.get(edge.to) ?? []), edge]);
  return [...incoming].filter(([, list]) => list.length === 1 && list[0].keys.some(Boolean)).map(([id, [edge]]) => {
    const { x, y } = plan.places.get(id);
    const more = edge.count > 1 ? ` +${edge.count - 1}` : "";
    return h("text.key", { key: `key ${id}`, x: x - 12, y: y + CARD.height / 2 - 8 }, clip(edge.keys.find(Boolean), 84, "10px") + more);
  });
}

/** Returns the window that shows the whole of a plan: [x, y, width, height]. */
export function whole({ width, height, left, right }) {
  return [-left - MARGIN, -MARGIN, width + left + right + 2 * MARGIN, height + 2 * MARGIN];
}

/**
 * Draws a graph as its plan says. `href` gives a node's address, `match` says whether it was searched for; `cache` is a Map
 * that keeps what is drawn from one time to the next; further `attributes` go to the svg element.
 */
export function picture(graph, plan, { href = () => undefined, match = () => false, label, cache = new Map(), ...attributes }) {
  const { nodes, edges, byId } = graph;
  const kept = (id, signature, draw) => {
    const known = cache.get(id);
    if (known?.signature === signature) return known.drawn;
    const drawn = draw();
    cache.set(id, { signature, drawn });
    return drawn;
  };
  const drawCard = (node) => {
    const [{ x, y }, address, found] = [plan.places.get(node.id), href(node), Boolean(match(node))];
    return kept(node.id, JSON.stringify([x, y, address, found, node]), () => card(node, { x, y }, address, found));
  };
  const drawLine = (edge) => kept(edge.id, `${edge.rate.toPrecision(3)} ${edge.count} ${edge.keys} ${plan.curves.get(edge.id).d}`, () => line(edge, plan, byId));
  if (cache.size > 3 * (nodes.length + edges.length) + 100) cache.clear();
  const shown = nodes.filter(({ id }) => plan.places.has(id)).sort((a, b) => readingOrder(plan.places.get(a.id), plan.places.get(b.id)));
  const many = edges.filter(({ rate }) => rate > 0).length > 100;
  return h("svg.map", { class: many ? "many" : undefined, role: "group", "aria-label": label, ...attributes },
    h("g.edges", edges.map(drawLine)),
    plan.heading && h("text.heading", { x: plan.heading.x, y: plan.heading.y }, "Through the default exchange"),
    h("g.keys", { "aria-hidden": "true" }, keys(edges, plan)),
    h("g.nodes", shown.map(drawCard)));
}

// From left to right, and from top to bottom: the order of the Tab key.
function readingOrder(a, b) {
  return a.layer - b.layer || a.y - b.y || a.x - b.x;
}

/** Marks the ways through a node in the drawn picture, and leaves the rest faint; null marks nothing. */
export function highlight(svg, id, edges) {
  const found = id && waysThrough(id, edges);
  svg.classList.toggle("focused", Boolean(found));
  for (const element of svg.querySelectorAll("[data-id], [data-edge]")) {
    element.toggleAttribute("data-on", Boolean(found?.has(element.dataset.id ?? element.dataset.edge)));
  }
}

// The words of a text in lines that are no wider than this.
function lines(text, width) {
  const all = [];
  for (const word of text.split(" ")) {
    const longer = all.length ? `${all.at(-1)} ${word}` : word;
    if (all.length && widthOf(longer, "10.5px") <= width) all[all.length - 1] = longer;
    else all.push(word);
  }
  return all;
}

/**
 * Returns the picture as a file that needs nothing else: its own styles in light colours, names escaped, no links.
 * `legend` lists [a drawn sample, what it means].
 */
export function standAlone(svg, plan, title, legend) {
  const copy = svg.cloneNode(true);
  const [x, y, drawn, height] = whole(plan);
  const width = Math.max(480, drawn);
  const entries = legend.map(([sample, text]) => [sample.cloneNode(true), lines(text, width - 2 * MARGIN - 44)]);
  const [left, total] = [x + MARGIN, height + 60 + 16 * entries.flatMap(([, text]) => text).length];
  const made = (element, attributes, text) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    return element;
  };
  const space = "http://www.w3.org/2000/svg";
  const add = (tag, attributes, text) => made(document.createElementNS(space, tag), attributes, text);
  for (const name of copy.getAttributeNames()) copy.removeAttribute(name);
  made(copy, { xmlns: space, viewBox: `${x} ${y - 30} ${width} ${total}`, width, height: total, class: "map" });
  for (const element of copy.querySelectorAll("a, [data-on]")) for (const name of ["href", "data-on", "data-id"]) element.removeAttribute(name);
  copy.prepend(add("title", {}, title), add("style", {}, styles()), add("rect", { x, y: y - 30, width, height: total, fill: "#fff" }), add("text", { x: left, y: y - 8, class: "name" }, title));
  let bottom = y + height + 14;
  for (const [sample, text] of entries) {
    copy.append(made(sample, { x: left, y: bottom - 11, width: 34, height: 14 }), ...text.map((line, at) => add("text", { x: left + 44, y: bottom + 16 * at, class: "figures" }, line)));
    bottom += 16 * text.length;
  }
  // XML has no place for control characters, which names may have.
  return new XMLSerializer().serializeToString(copy).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
}

// The rules for maps, with variables replaced by their light values: other programs know neither var() nor light-dark().
function styles() {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const root = rules.find(({ selectorText }) => selectorText === ":root").style;
  const value = (name) => root.getPropertyValue(name).trim().replace(/light-dark\(\s*([^,]+),[^)]*\)/, "$1");
  const own = rules.filter(({ selectorText }) => selectorText?.startsWith("svg.map")).map(({ cssText }) => cssText);
  return own.join("\n").replace(/var\((--[\w-]+)\)/g, (_, name) => value(name));
}
