// The bindings of an exchange: from it, to it, and the form that adds one.

import { h } from "../dom.js";
import { path, post, remove } from "../api.js";
import { count, plural } from "../format.js";
import { confirm } from "../dialog.js";
import { choice, fromPairs, pairs, text, values } from "../form.js";
import { exchangeLink, queueLink } from "../links.js";
import { table } from "../table.js";
import { routedBy, TYPES } from "./newexchange.js";
import { argumentsOf, written } from "./parts.js";

// More rows are searched, not scrolled.
const SHOWN = 200;
// The broker sends bindings without pages: many of them are not asked for every time.
const MANY = 1000;
const MANY_INTERVAL = 60000;
const COLUMNS = "source,destination,destination_type,routing_key,arguments,properties_key";

/** Asks for the bindings from and to an exchange; those of the default exchange are implied by queues' names. */
export async function loadBindings(view, { vhost, name }) {
  if (name === "") return null;
  const { bound } = view.state;
  if (bound && bound.from.length + bound.to.length > MANY && Date.now() - bound.asked < MANY_INTERVAL) return bound;
  const address = path`/exchanges/${vhost}/${name}`;
  const [from, to] = await Promise.all(["source", "destination"].map((end) => view.get(`${address}/bindings/${end}?columns=${COLUMNS}`)));
  return (view.state.bound = { from, to, asked: Date.now() });
}

/** Changes bindings: they are asked for again, however many there are. */
function change(view, action, done) {
  return view.act(async () => {
    view.state.bound = undefined;
    return action();
  }, done);
}

function bindingPath(vhost, { source, destination, destination_type: type }) {
  return path`/bindings/${vhost}/e/${source || "amq.default"}/` + path`${type === "queue" ? "q" : "e"}/${destination}`;
}

function described({ source, destination, routing_key: key, arguments: given }) {
  const entries = Object.entries(given ?? {});
  return `${source || "(default exchange)"} → ${destination}${key && ` with the key ${key}`}${entries.length ? ` (${entries.map(([name, value]) => `${name}: ${written(value)}`).join(", ")})` : ""}`;
}

async function askAndRemove(view, vhost, binding) {
  const sure = await confirm({
    title: "Remove a binding",
    question: `Remove the binding ${described(binding)}? Messages that only it leads to ${binding.destination} no longer get there.`,
    button: "Remove",
    action: () => remove(bindingPath(vhost, binding) + path`/${binding.properties_key}`),
  });
  if (sure) change(view, async () => {}, "The binding is removed.");
}

function columns(view, vhost, end, may) {
  const other = end === "to"
    ? { title: "From the exchange", cell: (row) => exchangeLink(vhost, row.source) }
    : { title: "To", cell: (row) => [row.destination_type === "queue" ? queueLink(vhost, row.destination) : exchangeLink(vhost, row.destination), h("span.faint", ` ${row.destination_type}`)] };
  return [
    other,
    { title: "Routing key", class: "long", cell: (row) => (row.routing_key ? h("code", row.routing_key) : h("span.faint", "(empty)")) },
    { title: "Arguments", class: "long", cell: (row) => argumentsOf(row.arguments) },
    may[end === "to" ? "bindTo" : "bindFrom"] && { title: h("span.hidden", "Actions"), cell: (row) => row.source !== "" && h("button.small", { type: "button", "aria-label": `Remove ${described(row)}`, onclick: () => askAndRemove(view, vhost, row) }, "Remove…") },
  ].filter(Boolean);
}

function list(view, vhost, end, rows, may, empty) {
  const wanted = (view.query.find ?? "").toLowerCase();
  const found = wanted ? rows.filter((row) => `${end === "to" ? row.source : row.destination}\n${row.routing_key}\n${written(row.arguments)}`.toLowerCase().includes(wanted)) : rows;
  return [
    table({
      label: end === "to" ? "Bindings to it" : "Bindings from it", columns: columns(view, vhost, end, may), rows: found.slice(0, SHOWN),
      key: (row) => `${row.source}\n${row.destination_type}\n${row.destination}\n${row.properties_key}`,
      empty: h("p", rows.length ? "No binding here has such a name, key or argument." : empty),
    }),
    found.length > SHOWN && h("p.help", `These are ${SHOWN} of ${count(found.length)}: search for others.`),
  ];
}

let typing;

function search(view) {
  return h("input", {
    type: "search", "aria-label": "Search bindings", placeholder: "Search bindings", "data-shortcut": "/", value: view.query.find ?? "",
    oninput: ({ target }) => {
      clearTimeout(typing);
      typing = setTimeout(() => view.go(view.link({ find: target.value || undefined }), { replace: true }), 250);
    },
  });
}

const MATCHES = [
  ["all", "all: every argument is a header of the message, with this value"],
  ["any", "any: at least one is"],
  ["all-with-x", "all-with-x: as all, headers that begin with x- included"],
  ["any-with-x", "any-with-x: as any, headers that begin with x- included"],
];

/** Suggests names of what can be bound, as they are typed. */
function suggest(view, vhost, kind, text) {
  clearTimeout(typing);
  typing = setTimeout(async () => {
    const query = new URLSearchParams({ page: 1, page_size: 20, columns: "name", name: text, disable_stats: true });
    const page = await view.get(`${path`/${kind}/${vhost}`}?${query}`, { signal: undefined }).catch(() => null);
    view.state.suggested = page?.items.map(({ name }) => name).filter(Boolean) ?? [];
    view.redraw();
  }, 250);
}

async function bind(view, exchange, form) {
  const { vhost, name } = exchange;
  const given = values(form);
  const [source, destination] = given.way === "from" ? [given.other, name] : [name, given.other];
  const key = given.binding_key;
  await change(view, async () => {
    const match = given["x-match"] ? { "x-match": given["x-match"] } : {};
    const type = given.way === "queue" ? "queue" : "exchange";
    await post(bindingPath(vhost, { source, destination, destination_type: type }), { routing_key: key, arguments: { ...match, ...fromPairs(view.state.bindingArguments) } });
    // The direction stays: bindings are often added one after the other.
    form.elements.other.value = form.elements.binding_key.value = "";
    view.state.bindingArguments = [];
  }, `Bound: ${described({ source, destination, routing_key: key })}.`);
}

const WAYS = [["queue", "to a queue"], ["exchange", "to an exchange"], ["from", "from an exchange"]];

function form(view, exchange, may) {
  const { state } = view;
  state.bindingArguments ??= [];
  const ways = WAYS.filter(([way]) => (way === "from" ? may.bindTo : may.bindFrom));
  if (ways.length === 0) return null;
  const way = state.way ?? ways[0][0];
  const type = routedBy(exchange);
  const headers = type === "headers" && way !== "from";
  return h("form.fields", { onsubmit: (event) => { event.preventDefault(); bind(view, exchange, event.target); } },
    choice("Add a binding", "way", ways, "Messages go from the exchange to what is bound to it.", { value: way, onchange: (event) => { Object.assign(state, { way: event.target.value, suggested: [] }); view.redraw(); } }),
    text(way === "queue" ? "Name of the queue" : "Name of the exchange", "other", null, { required: true, list: "binding-names", oninput: (event) => suggest(view, exchange.vhost, way === "queue" ? "queues" : "exchanges", event.target.value) }),
    h("datalist#binding-names", (state.suggested ?? []).map((name) => h("option", { value: name, key: name }))),
    text(type === "x-consistent-hash" && way !== "from" ? "Weight" : "Routing key", "binding_key", way === "from" ? "It means what the other exchange's type makes of it." : TYPES[type]?.key, { maxlength: 255 }),
    headers && choice("x-match", "x-match", MATCHES, "The arguments below are compared with the headers of each message; the order does not matter."),
    headers
      ? pairs("Headers to match", state.bindingArguments, view.redraw, { help: "Numbers, true and false are taken as such; a text that looks like one needs quotes. A value of null matches whatever value the header has." })
      : h("details.wide", h("summary", "Arguments"), pairs("Binding arguments", state.bindingArguments, view.redraw, { help: "Only bindings of headers exchanges need them." })),
    h("div.buttons.start", h("button.primary", { type: "submit" }, "Bind")));
}

/** The section of an exchange's bindings; `bound` is what loadBindings returned, `may` which bindings the user may change. */
export function bindings(view, exchange, bound, may) {
  if (!bound) return h("section", h("h2", "Bindings"), h("p.help", "Every queue of the virtual host is bound to the default exchange by its name. These bindings cannot be removed, and no others added."));
  const { from, to } = bound;
  const empty = exchange.type === "x-local-random" ? "Nothing is bound to it yet." : "Nothing is bound to it yet, so its messages are dropped or go to its alternate exchange.";
  return h("section",
    h("div.bar", h("h2", "Bindings"), h("span.found", `${plural(from.length, "binding")} from it, ${count(to.length)} to it`), h("span.spring"), (from.length + to.length > 20 || view.query.find) && search(view)),
    list(view, exchange.vhost, "from", from, may, empty),
    to.length > 0 && [h("h3", "From other exchanges to this one"), list(view, exchange.vhost, "to", to, may)],
    form(view, exchange, may));
}
