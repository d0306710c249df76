// Connections: the list, and one with its channels. The pages of channels are in channels.js.

import { h } from "../dom.js";
import { path, request, withQuery } from "../api.js";
import { bulk, nameList } from "../bulk.js";
import { absolute, byteRate, bytes, count, plural } from "../format.js";
import { chart, rangeChoice, rates, samplesQuery } from "../chart.js";
import { notify } from "../dialog.js";
import { text } from "../form.js";
import { connectionAddress } from "../links.js";
import { loadPage, orderOf, pager, searchBar, table } from "../table.js";
import { loadPort, program } from "./first.js";
import { messageRates } from "./overview.js";
import { argumentsOf, clientName, facts, since } from "./parts.js";
import { channelColumns, CHANNEL_COLUMNS, routes as channels } from "./channels.js";

const COLUMNS = [
  "name", "user_provided_name", "user", "vhost", "state", "protocol", "ssl", "ssl_protocol", "channels", "connected_at",
  "client_properties.connection_name", "client_properties.product", "client_properties.version", "client_properties.platform",
  "recv_oct_details.rate", "send_oct_details.rate",
];

/** The look of a connection's state, what it means, and for those who may see alarms where to look. */
const STATES = {
  running: ["good", null],
  starting: ["", "The client has not opened a virtual host yet."],
  flow: ["warn", "It publishes faster than the broker can store, so it is read more slowly for moments. Nothing is lost; if it lasts, publish less, or give the broker a faster disk."],
  blocking: ["warn", "An alarm is in force: the next message that it publishes blocks it.", "The overview says which alarm."],
  blocked: ["bad", "An alarm (memory or disk space is low) blocks it: what it publishes is not read until the alarm ends, what it consumes goes on.", "The overview says what to do."],
};

/** A connection's state as a badge; its title says what it means. */
export function stateBadge(state = "closed") {
  const [look = "", meaning] = STATES[state] ?? [];
  return h("span", { class: `badge ${look}`, title: meaning ?? undefined }, state);
}

function explained(view, state) {
  const [, meaning, where] = STATES[state] ?? [];
  return meaning && [meaning, where && ` ${view.may("monitoring") ? where : "Those who run the broker can end it."}`];
}

function clientSoftware({ client_properties: { product, version, platform } = {} }) {
  return [[product, version].filter(Boolean).join(" "), platform].filter(Boolean).join(", ");
}

function encryption({ ssl, ssl_protocol: version, protocol }) {
  return [protocol, ssl && [" ", h("span.badge.good", version ? `TLS (${version})` : "TLS")]];
}

const speed = (row, key) => byteRate(row[`${key}_details`]?.rate ?? 0);

function columns(view) {
  return [
    { title: "Connection", sort: "name", class: "wide", cell: (row) => [h("a", { href: connectionAddress(row.name) }, row.name), clientName(row) && h("div", { dir: "auto" }, clientName(row))] },
    { title: "State", sort: "state", cell: (row) => stateBadge(row.state) },
    { title: "User", sort: "user", class: "long", cell: (row) => h("a", { href: view.link({ user: row.user, page: undefined }), title: "Only this user's" }, row.user) },
    { title: "Virtual host", sort: "vhost", class: "long", cell: (row) => row.vhost },
    { title: "Client", sort: "client_properties.product", class: "client", cell: clientSoftware },
    { title: "Protocol", sort: "protocol", class: "nowrap", cell: encryption },
    { title: "Channels", sort: "channels", number: true, cell: (row) => count(row.channels) },
    { title: "From client", sort: "recv_oct_details.rate", number: true, help: "Bytes a second that the broker receives", cell: (row) => speed(row, "recv_oct") },
    { title: "To client", sort: "send_oct_details.rate", number: true, help: "Bytes a second that the broker sends", cell: (row) => speed(row, "send_oct") },
    { title: "Connected", sort: "connected_at", class: "nowrap", help: "How long ago", cell: (row) => since(row.connected_at) },
  ];
}

/** Asks for a reason and closes connections, by their names; returns how many it closed. */
async function closeConnections(names, called = {}) {
  const done = await bulk({
    title: `Close ${plural(names.length, "connection")}`, button: "Close", danger: true, items: names, name: (name) => name, noun: "connection",
    question: [
      nameList(names.map((name) => (called[name] ? `${name} (${called[name]})` : name))),
      h("p", "Messages that are not acknowledged go back to their queues. Most clients connect again at once."),
      text("Reason", "reason", "The client gets it with 320 CONNECTION_FORCED, and the log has it.", { maxlength: 150, placeholder: "Closed via management plugin" }),
    ],
    action: (name, form) => close(name, form.elements.reason.value.trim()),
  });
  if (done) notify(`${plural(done, "connection")} closed.`);
  return done;
}

async function close(name, reason) {
  // A header's characters are bytes: UTF-8's.
  const encoded = String.fromCharCode(...new TextEncoder().encode(reason));
  try {
    await request("DELETE", path`/connections/${name}`, { headers: reason ? { "X-Reason": encoded } : {} });
  } catch (error) {
    // It has ended by itself meanwhile.
    if (error.status !== 404) throw error;
  }
}

async function closeSelected(view) {
  const { selected } = view.state;
  const called = Object.fromEntries(view.data.items.map((row) => [row.name, clientName(row)]));
  if (!(await closeConnections([...selected], called))) return;
  selected.clear();
  view.reload();
}

function whose(view) {
  const { user } = view.query;
  if (user !== undefined) return h("p", "Only those of ", h("b", user), ". ", h("a", { href: view.link({ user: undefined, page: undefined }) }, "Show all"));
  return !view.may("monitoring") && h("span.faint", "You see your own; the tag monitoring shows all.");
}

function stateNotes(view, rows) {
  return ["flow", "blocking", "blocked"].map((state) => [state, rows.filter((row) => row.state === state).length]).filter(([, number]) => number > 0)
    .map(([state, number]) => h("p.notice", { key: state, role: "status" }, h("b", `${plural(number, "connection")} of this page: ${state}. `), explained(view, state)));
}

function empty(view) {
  const { user } = view.query;
  if (view.data.total_count) return h("p", "No connection has such a name. The search looks at addresses, such as 10.0.0.7.");
  if (user !== undefined && user !== view.user.name) return h("p", `${user} has no connection.`);
  return [h("p", view.may("monitoring") && user === undefined ? "No client is connected." : "You have no connections.", " One that stays for a minute:"), program(view, "connection.sleep(60)")];
}

const list = {
  path: "/connections",
  title: "Connections",
  async load(view) {
    const list = await loadPage(view, view.query.user === undefined ? "/connections" : path`/connections/username/${view.query.user}`, { columns: COLUMNS });
    if (list.total_count === 0) await loadPort(view);
    return list;
  },
  render(view) {
    const { data } = view;
    const selected = (view.state.selected ??= new Set());
    // What a single page does not show has ended, or is filtered out: only what is seen is closed.
    if (data.page_count <= 1) for (const name of selected) if (!data.items.some((row) => row.name === name)) selected.delete(name);
    // Others' connections are closed by administrators only.
    const mayClose = view.may() || data.items.every(({ user }) => user === view.user.name);
    return [
      searchBar(view, data, "connection", whose(view),
        selected.size > 0 && h("button.danger", { type: "button", onclick: () => closeSelected(view) }, `Close ${plural(selected.size, "connection")}…`)),
      stateNotes(view, data.items),
      h("section", table({
        label: "Connections", columns: columns(view), rows: data.items, key: ({ name }) => name, order: orderOf(view),
        selection: mayClose ? selected : undefined, redraw: view.redraw, empty: empty(view),
      }), pager(view, data)),
    ];
  },
};

function charts(connection) {
  const series = [["From client", "recv_oct", 1], ["To client", "send_oct", 3]];
  return h("div.columns",
    h("section", chart({ title: "Bytes a second", unit: "byteRate", series: series.map(([name, key, color]) => ({ name, color, points: rates(connection[`${key}_details`]) })) })),
    h("section", chart({ title: "Messages a second", unit: "rate", series: messageRates(connection.message_stats), empty: "It has neither published nor consumed a message yet." })));
}

function tls(connection) {
  if (!connection.ssl) return "none: passwords and messages are readable on the network";
  const { ssl_protocol: version, ssl_cipher: cipher, ssl_key_exchange: exchange, ssl_hash: hash } = connection;
  return [version, cipher, exchange, hash].filter(Boolean).join(", ") || "yes";
}

function details(connection) {
  const { vhost, user, protocol, peer_host: host, peer_port: port } = connection;
  const local = ["127.", "::1", "unix", "/"].some((start) => String(host ?? "").startsWith(start));
  return h("section", h("h2", "Facts"), facts(
    ["The client's name for it", clientName(connection)],
    ["State", stateBadge(connection.state)],
    ["User", user], ["Virtual host", vhost], ["Login", connection.auth_mechanism],
    ["Protocol", protocol],
    ["TLS", local && !connection.ssl ? "none, and not needed on this machine" : tls(connection)],
    ["Client's certificate", connection.peer_cert_subject && [connection.peer_cert_subject, h("p.help", `issued by ${connection.peer_cert_issuer}, valid ${connection.peer_cert_validity}`)]],
    ["Client's address", `${host}${port ? `, port ${port}` : ""}`],
    ["Broker's address", `${connection.host}${connection.port ? `, port ${connection.port}` : ""}`],
    ["Connected", connection.connected_at && [since(connection.connected_at), ` ago: ${absolute(connection.connected_at)}`]],
    ["Heartbeat", connection.timeout ? `every ${connection.timeout} s` : "none: a broken network is noticed late"],
    ["Limits", `frames of ${bytes(connection.frame_max)}, ${plural(connection.channel_max, "channel")}`],
    ["Received", bytes(connection.recv_oct)], ["Sent", bytes(connection.send_oct)],
    ["Waits to be read by the client", connection.send_pend > 0 && bytes(connection.send_pend)]));
}

async function closeThis(view) {
  const { name } = view.params;
  if (await closeConnections([name], { [name]: clientName(view.data.connection) })) view.go("#/connections");
}

const one = {
  path: "/connections/:name",
  section: "/connections",
  title: (view) => view.params.name,
  subtitle: (view) => clientName(view.data.connection),
  above: () => [["#/connections", "Connections"]],
  async load(view) {
    const address = path`/connections/${view.params.name}`;
    const [connection, channels] = await Promise.all([
      view.get(withQuery(address, samplesQuery(view.query.range, ["data_rates", "msg_rates"]))),
      view.get(withQuery(`${address}/channels`, { columns: CHANNEL_COLUMNS.join(",") })),
    ]);
    return { connection, channels };
  },
  render(view) {
    const { connection, channels } = view.data;
    const meaning = explained(view, connection.state);
    return [
      meaning && h("p.notice", { role: "status" }, meaning),
      rangeChoice(view, ["10m", "1h"]),
      charts(connection),
      h("div.columns", details(connection), h("section", h("h2", "What the client says of itself"), argumentsOf(connection.client_properties, h("p.empty", "Nothing.")))),
      h("section", h("h2", plural(channels.length, "channel")), table({
        label: "Channels", columns: channelColumns().filter(({ ofConnection }) => !ofConnection), rows: channels, key: ({ name }) => name,
        empty: h("p", "It has no channel open: it can neither publish nor consume."),
      })),
      (view.may() || connection.user === view.user.name) && h("div.buttons.start", h("button.danger", { type: "button", onclick: () => closeThis(view) }, "Close…")),
    ];
  },
};

export const routes = [list, one, ...channels];
