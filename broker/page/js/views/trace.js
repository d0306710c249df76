// The trace: where a message would go, and why, without sending it.

import { h } from "../dom.js";
import { loadVhosts, noPermissions, vhostChoice, vhostOf } from "../access.js";
import { path, request, withQuery } from "../api.js";
import { picture, whole } from "../drawing.js";
import { area, field, fromPairs, pairs, text } from "../form.js";
import { count, plural } from "../format.js";
import { graphOf } from "../graph.js";
import { layout } from "../layout.js";
import { pageOf } from "./map.js";
import { written } from "./parts.js";

// More than that is no picture of one message any more.
const MOST_DRAWN = 60;

function headersIn({ headers }) {
  try {
    return JSON.parse(headers || "{}") ?? {};
  } catch {
    return {};
  }
}

// The form as the address says it; what the person types goes to the address, so that the address is what to share.
function formOf(view) {
  const { state, query } = view;
  const asked = JSON.stringify(query);
  if (state.asked === asked) return state.form;
  const { CC, ...others } = headersIn(query);
  state.asked = asked;
  state.form = { exchange: query.exchange ?? "", key: query.routing_key ?? "", cc: Array.isArray(CC) ? CC.join("\n") : "", entries: Object.entries(others).map(([name, value]) => [name, written(value)]) };
  return state.form;
}

function headersOf({ entries, cc }) {
  const keys = cc.split("\n").filter(Boolean);
  return { ...fromPairs(entries), ...(keys.length && { CC: keys }) };
}

let typing;

// Typed, and a moment still.
function changed(view) {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const { form } = view.state;
    try {
      const headers = headersOf(form);
      const query = { ...view.query, exchange: form.exchange || undefined, routing_key: form.key || undefined, headers: Object.keys(headers).length ? JSON.stringify(headers) : undefined };
      view.state.fault = null;
      const address = withQuery(view.here, query);
      view.state.asked = JSON.stringify(Object.fromEntries(new URLSearchParams(address.split("?")[1])));
      view.go(address, { replace: true });
    } catch (error) {
      view.state.fault = error.message;
      view.redraw();
    }
  }, 250);
}

async function ask(view, vhost) {
  const { exchange = "", routing_key = "", headers } = view.query;
  const list = await view.get(withQuery(path`/exchanges/${vhost}`, { page: 1, page_size: 50, name: exchange, columns: "name,type" })).catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  });
  if (!list) return { refused: true };
  view.state.exchanges = list.items.filter(({ name }) => name);
  if (!exchange && !routing_key && !headers) return {};
  const missing = { problem: `There is no exchange “${exchange}” in this virtual host, or you have no permissions there.` };
  // While a name is typed it is that of no exchange most of the time.
  if (exchange && list.page_count <= 1 && !list.items.some(({ name }) => name === exchange)) return missing;
  try {
    const body = { routing_key, headers: headersIn(view.query) };
    return { answer: await request("POST", path`/route/${vhost}/${exchange || "amq.default"}`, { body, signal: view.busy?.signal }) };
  } catch (error) {
    if (error.status === 404) return missing;
    if (error.status === 400) return { problem: error.message };
    throw error;
  }
}

function fields(view) {
  const form = formOf(view);
  const vhosts = vhostChoice(view, { exchange: undefined });
  const input = (name) => ({ value: form[name], oninput: (event) => { form[name] = event.target.value; } });
  return h("form.fields", { onsubmit: (event) => event.preventDefault(), oninput: () => changed(view), role: "search", "aria-label": "The message" },
    vhosts && field("Virtual host", vhosts),
    h("datalist#trace-exchanges", (view.state.exchanges ?? []).map(({ name, type }) => h("option", { value: name, key: name }, type))),
    text("Exchange", "exchange", "Empty: the default exchange, whose keys are names of queues.", { list: "trace-exchanges", placeholder: "(default exchange)", "data-shortcut": "/", ...input("exchange") }),
    text("Routing key", "key", null, input("key")),
    area("Further keys (CC)", "cc", "One a line: the header CC, by which a message goes to several keys.", { rows: Math.min(6, form.cc.split("\n").length), ...input("cc") }),
    h("details.wide", { open: form.entries.some(([name]) => name) },
      h("summary", "Headers"),
      pairs("Headers", form.entries, () => { changed(view); view.redraw(); }, { help: "Numbers, true, false and JSON are what they look like; write \"12\" for the text 12." })),
    view.state.fault && h("p.error", { role: "alert" }, view.state.fault));
}

function verdict(view, { queues }) {
  const link = (name, at) => [at > 0 && ", ", h("a", { href: pageOf(vhostOf(view), { kind: "queue", name }), key: name }, name)];
  if (queues.length === 0) return h("p.notice", { role: "status" }, h("b", "Reaches no queue"), ": it would be dropped, or returned if it is mandatory.");
  return h("p.ok", { role: "status" }, h("b", `Reaches ${plural(queues.length, "queue")}`), ": ", queues.slice(0, 50).map(link), queues.length > 50 && ` and ${count(queues.length - 50)} more`);
}

// The steps as a map has them: one edge for all matched bindings between two nodes.
function wayOf({ steps }) {
  const edges = new Map();
  const add = (from, to, kind, key) => {
    const id = JSON.stringify([kind, from, to]);
    if (!edges.has(id)) edges.set(id, { from: ["exchange", from], to, kind, keys: [], count: 0 });
    const edge = edges.get(id);
    edge.count += 1;
    if (key !== undefined && edge.keys.length < 5) edge.keys.push(key);
  };
  const queues = new Set();
  for (const { exchange, reached_by: by, bindings } of steps) {
    if (by?.kind === "alternate") add(by.exchange, ["exchange", exchange], "alternate");
    for (const { destination, destination_type: kind, routing_key: key } of bindings.filter(({ matched }) => matched)) {
      add(exchange, [kind, destination], "binding", key);
      if (kind === "queue") queues.add(destination);
    }
  }
  const exchanges = steps.map(({ exchange, type }) => ({ name: exchange, type, missing: !type }));
  const graph = graphOf({ exchanges, queues: [...queues].map((name) => ({ name })), edges: [...edges.values()] });
  for (const edge of graph.edges) edge.traced = true;
  return graph;
}

function way(view, answer) {
  const graph = wayOf(answer);
  if (graph.nodes.length > MOST_DRAWN) return null;
  const plan = (view.state.plan = layout(graph, { room: [Math.min(1100, innerWidth), 680], previous: view.state.plan }));
  const [x, y, width, height] = whole(plan);
  return h("figure.map-frame.small", picture(graph, plan, { label: "The way of the message", viewBox: `${x} ${y} ${width} ${height}`, width, height, href: (node) => pageOf(vhostOf(view), node) }));
}

function binding(view, { destination: name, destination_type: kind, routing_key: key, arguments: given, why }, at) {
  return h("li", { key: at }, "→ ", kind, " ", h("a", { href: pageOf(vhostOf(view), { kind, name }) }, name), ", key ", h("code", key || "(empty)"),
    Object.keys(given ?? {}).length > 0 && [", arguments ", h("code", JSON.stringify(given))], h("br"), h("span.faint", why));
}

function step(view, { exchange, type, reached_by: by, bindings, not_shown: hidden, note }, at) {
  const link = (name) => h("a", { href: pageOf(vhostOf(view), { kind: "exchange", name }) }, name || "default exchange");
  const [matched, others] = [true, false].map((wanted) => bindings.filter(({ matched }) => matched === wanted));
  const missing = others.length + (hidden ?? 0);
  return h("li", { key: `${at} ${exchange}` }, h("section",
    h("h2", `${at + 1}. `, type ? link(exchange) : exchange, type && [" ", h("span.badge", type)]),
    by && h("p", by.kind === "alternate" ? "Reached as the alternate exchange of " : "Reached from ", link(by.exchange), by.routing_key !== undefined && [", by a binding with the key ", h("code", by.routing_key || "(empty)")], "."),
    note && h("p.notice", note),
    matched.length > 0 && h("ul.plain.ways", matched.map((one, index) => binding(view, one, index))),
    matched.length === 0 && !note && h("p", "No binding matches."),
    missing > 0 && h("details", h("summary", `${plural(missing, "binding does", "bindings do")} not match`),
      h("ul.plain.ways", others.map((one, index) => binding(view, one, index))), hidden > 0 && h("p.faint", `${count(hidden)} more are not shown.`))));
}

function result(view) {
  const { answer, problem, refused } = view.data;
  if (refused) return noPermissions(view);
  if (problem) return h("p.error", { role: "alert" }, problem);
  if (!answer) return h("p.empty", "Name an exchange, or for the default exchange type the name of a queue as routing key: its way appears here as you type.");
  return [
    verdict(view, answer),
    // The verdict says this, with the same words.
    answer.note && answer.queues.length > 0 && h("p.notice", answer.note),
    answer.queues.length > 0 && way(view, answer),
    h("ol.steps-list", { "aria-label": "Steps" }, answer.steps.map((one, at) => step(view, one, at))),
  ];
}

export const routes = [{
  path: "/trace",
  title: "Trace a message",
  above: (view) => [[withQuery("#/map", { vhost: vhostOf(view) }), "Map"]],
  interval: 15000,
  async load(view) {
    const vhosts = loadVhosts(view);
    if (view.query.vhost === undefined) await vhosts;
    const vhost = vhostOf(view);
    if (vhost === undefined) return null;
    const [found] = await Promise.all([ask(view, vhost), vhosts]);
    return found;
  },
  render: (view) => (view.data ? [
    h("p.help", "The broker says where it would route such a message, by the same rules as a publish. Nothing is sent, and nothing is counted."),
    h("section", fields(view)),
    result(view),
  ] : h("div.empty", noPermissions(view))),
}];
