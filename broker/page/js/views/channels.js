// Channels: the list, and one with its consumers.

import { h } from "../dom.js";
import { path, withQuery } from "../api.js";
import { count, duration, plural, rate } from "../format.js";
import { chart, rangeChoice, samplesQuery } from "../chart.js";
import { channelAddress, connectionAddress, queueLink } from "../links.js";
import { loadPage, orderOf, pager, searchBar, table } from "../table.js";
import { messageRates } from "./overview.js";
import { argumentsOf, facts, loadClientNames } from "./parts.js";

const RATES = ["publish", "confirm", "deliver_get", "ack"];

/** What the broker is asked for in a list of channels. */
export const CHANNEL_COLUMNS = [
  "name", "number", "user", "vhost", "state", "transactional", "confirm", "consumer_count", "messages_unacknowledged",
  "messages_unconfirmed", "prefetch_count", "global_prefetch_count", ...RATES.map((key) => `message_stats.${key}_details.rate`),
];

const MODES = {
  confirm: "Publisher confirms: the broker tells when it is responsible for each message.",
  tx: "Transactions: what it publishes and acknowledges counts with tx.commit.",
};

/** What the states of channels mean, with the look of their badges. */
const STATES = {
  running: ["good", "It is open, and works or waits for work."],
  flow: ["warn", "Its publishes come faster than the broker can store, so they are read more slowly for moments. Nothing is lost; if it lasts, publish less, or give the broker a faster disk."],
};

function stateBadge({ state }) {
  const [look = "", meaning] = STATES[state] ?? [];
  return state ? h("span.badge", { class: look, title: meaning }, state) : "–";
}

function mode({ confirm, transactional }) {
  const name = confirm ? "confirm" : transactional ? "tx" : null;
  return name ? h("span.badge", { title: MODES[name] }, name) : h("span.faint", "–");
}

function prefetch({ prefetch_count: each, global_prefetch_count: all }) {
  const parts = [each > 0 && `${count(each)} each`, all > 0 && `${count(all)} in all`].filter(Boolean);
  return parts.join(", ") || h("span.faint", "no limit");
}

/** The columns of a table of channels; with `ofConnection` those that are the same for a whole connection. */
export function channelColumns() {
  const figure = (title, key, help) => ({ title, sort: key, number: true, help, cell: (row) => count(row[key] ?? 0) });
  const speed = (title, key, help) => ({ title, sort: `message_stats.${key}_details.rate`, number: true, help, cell: (row) => rate(row.message_stats?.[`${key}_details`]?.rate ?? 0) });
  return [
    { title: "Channel", sort: "name", class: "wide", cell: (row) => h("a", { href: channelAddress(row.name) }, row.name) },
    { title: "User", sort: "user", class: "long", ofConnection: true, cell: (row) => row.user },
    { title: "Virtual host", sort: "vhost", class: "long", ofConnection: true, cell: (row) => row.vhost },
    { title: "State", sort: "state", cell: stateBadge },
    { title: "Mode", cell: mode },
    figure("Consumers", "consumer_count"),
    { title: "Prefetch", sort: "prefetch_count", class: "nowrap", cell: prefetch, help: "How many messages a consumer may have unacknowledged" },
    figure("Unacked", "messages_unacknowledged", "Messages that were delivered and wait for an acknowledgement"),
    figure("Unconfirmed", "messages_unconfirmed", "Published messages whose confirm is still to come"),
    speed("Publish", "publish"), speed("Confirm", "confirm"), speed("Deliver", "deliver_get", "Delivered to consumers, or got"), speed("Ack", "ack", "Acknowledged"),
  ];
}

function empty(view) {
  if (view.data.total_count) return h("p", "No channel has such a name. The search looks at addresses, such as 10.0.0.7.");
  return h("p", view.may("monitoring") ? "No client has a channel open. " : "You have no channels open. ", h("a", { href: "#/connections" }, "Connections"));
}

const list = {
  path: "/channels",
  title: "Channels",
  load: (view) => loadPage(view, "/channels", { columns: CHANNEL_COLUMNS }),
  render: (view) => [
    searchBar(view, view.data, "channel", !view.may("monitoring") && h("span.faint", "You see your own; the tag monitoring shows all.")),
    h("section", table({ label: "Channels", columns: channelColumns(), rows: view.data.items, key: ({ name }) => name, order: orderOf(view), empty: empty(view) }), pager(view, view.data)),
  ],
};

/** Says what an operator should know of the figures. */
function notes({ messages_unacknowledged: unacked, consumer_details: consumers = [], global_prefetch_count: all, messages_unconfirmed: unconfirmed }) {
  const acking = consumers.filter(({ ack_required: required }) => required);
  const limit = all > 0 ? all : acking.reduce((sum, { prefetch_count: each }) => sum + (each || Infinity), 0);
  const said = [];
  if (acking.length && unacked >= limit) said.push(`Its consumers hold as many messages as their prefetch allows (${count(unacked)}): they get more as they acknowledge. If messages wait in the queue, the consumers are the slow part; add more of them, or raise the prefetch if the network is slow.`);
  if (acking.length && limit === Infinity && unacked > 1000) said.push(`${count(unacked)} messages were sent without waiting, because no prefetch limits them. Set basic.qos, so that other consumers get their share and the client's memory suffices.`);
  if (unconfirmed > 1000) said.push(`${count(unconfirmed)} published messages wait for their confirm: the broker stores more slowly than this client publishes.`);
  return said.map((text) => h("p.notice", { key: text, role: "status" }, text));
}

function details(channel) {
  const { connection_details: connection = {} } = channel;
  const which = channel.confirm ? "confirm" : channel.transactional ? "tx" : null;
  return h("section", h("h2", "Facts"), facts(
    ["Connection", connection.name && h("a", { href: connectionAddress(connection.name) }, connection.name)],
    ["Number", channel.number], ["User", channel.user], ["Virtual host", channel.vhost], ["State", channel.state && [stateBadge(channel), h("p.help", STATES[channel.state]?.[1])]],
    ["Mode", which ? [mode(channel), h("p.help", MODES[which])] : "neither confirms nor transactions: a publisher does not learn what was lost"],
    ["Prefetch", [prefetch(channel), h("p.help", "“Each” applies to consumers that are started from now on, “in all” to the channel as a whole.")]],
    ["Unacknowledged", count(channel.messages_unacknowledged)],
    ["Unconfirmed", channel.confirm && count(channel.messages_unconfirmed)],
    ["Uncommitted", channel.transactional && `${plural(channel.messages_uncommitted, "message")}, ${plural(channel.acks_uncommitted, "acknowledgement")}`]));
}

const CONSUMER_COLUMNS = [
  { title: "Queue", cell: ({ queue }) => queueLink(queue.vhost, queue.name) },
  { title: "Consumer tag", class: "long", cell: (row) => h("code", row.consumer_tag) },
  { title: "State", cell: ({ active, activity_status: status }) => (active === false ? h("span.badge.warn", { title: "It gets no messages: another consumer has the queue." }, status ?? "waiting") : h("span.badge.good", status === "single_active" ? "single active" : "active")) },
  { title: "Acknowledges", cell: (row) => (row.ack_required ? "yes" : h("span", { title: "Messages count as acknowledged when they are sent: one that is lost on the way is lost." }, "no")) },
  { title: "Prefetch", number: true, cell: (row) => (row.prefetch_count ? count(row.prefetch_count) : "no limit") },
  { title: "Exclusive", cell: (row) => (row.exclusive ? "yes" : "no") },
  { title: "Timeout", number: true, help: "How long it may hold a message", cell: (row) => (row.consumer_timeout ? duration(row.consumer_timeout) : "–") },
  { title: "Arguments", class: "long", cell: (row) => argumentsOf(row.arguments) },
];

const one = {
  path: "/channels/:name",
  section: "/channels",
  title: (view) => view.params.name,
  above: (view) => [["#/channels", "Channels"], [connectionAddress(view.params.name.replace(/ \(\d+\)$/, "")), "Its connection"]],
  subtitle: ({ data, state }) => state.clients?.[data.connection_details?.name],
  async load(view) {
    const connection = view.params.name.replace(/ \(\d+\)$/, "");
    const [channel] = await Promise.all([view.get(withQuery(path`/channels/${view.params.name}`, samplesQuery(view.query.range, ["msg_rates"]))), loadClientNames(view, [connection])]);
    return channel;
  },
  render(view) {
    const channel = view.data;
    const consumers = channel.consumer_details ?? [];
    return [
      notes(channel),
      rangeChoice(view, ["10m", "1h"]),
      h("div.columns",
        h("section", chart({ title: "Messages a second", unit: "rate", series: messageRates(channel.message_stats), empty: "It has neither published nor consumed a message yet." })),
        details(channel)),
      h("section", h("h2", plural(consumers.length, "consumer")), table({
        label: "Consumers", columns: CONSUMER_COLUMNS, rows: consumers, key: (row) => `${row.queue.name}\n${row.consumer_tag}`,
        empty: h("p", "It consumes nothing. basic.consume starts a consumer."),
      })),
    ];
  },
};

export const routes = [list, one];
