// Streams: their offsets, segments and readers.

import { h } from "../dom.js";
import { noPermissions } from "../access.js";
import { path, withQuery } from "../api.js";
import { bytes, count, percent, plural } from "../format.js";
import { chart, levels, rangeChoice, rates, samplesQuery } from "../chart.js";
import { channelAddress, queueAddress, streamAddress } from "../links.js";
import { isClosed, listedVhost, loadWithVhosts, orderOf, pager, searchBar, showsSeveral, table } from "../table.js";
import { loadPort, program } from "./first.js";
import { argumentsOf, facts, policyLink } from "./parts.js";

const COLUMNS = ["name", "vhost", "policy", "messages", "message_bytes", "first_offset", "next_offset", "segments", "disk_bytes", "readers"];

const FIRST = [
  "channel = connection.channel()", 'channel.queue_declare("events", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "7D"})',
  'channel.basic_publish("", "events", b"Hello World!")', "connection.close()",
];

function columns(view) {
  const figure = (title, key, write = count, help) => ({ title, sort: key, number: true, help, cell: (row) => write(row[key]) });
  return [
    { title: "Name", sort: "name", cell: (row) => h("a", { href: streamAddress(row.vhost, row.name) }, row.name) },
    showsSeveral(view) && { title: "Virtual host", sort: "vhost", class: "long", cell: (row) => row.vhost },
    figure("Messages", "messages"), figure("Size", "message_bytes", bytes, "The bytes of the messages"),
    figure("First offset", "first_offset", count, "The oldest message that is still there"),
    figure("Next offset", "next_offset", count, "What the next message gets"),
    figure("Segments", "segments", count, "The units in which old messages are removed"),
    figure("On disk", "disk_bytes", bytes), figure("Readers", "readers"),
    { title: "Policy", sort: "policy", class: "long", cell: (row) => policyLink(row.vhost, row.policy) },
  ].filter(Boolean);
}

function empty(view, { total_count: total, refused }) {
  if (isClosed(view)) return noPermissions(view);
  if (total || refused) return h("p", "No stream has such a name.");
  return [h("p", "There is no stream yet. A stream is a log on disk: any number of consumers read it, each from an offset of its choice, and nothing is gone because it was read. ", h("code", "pip install pika"), ", then run:"), program(view, ...FIRST)];
}

const all = {
  path: "/streams",
  title: "Streams",
  async load(view) {
    const list = await loadWithVhosts(view, "/streams", { columns: COLUMNS });
    if (list.total_count === 0) await loadPort(view);
    return list;
  },
  render(view) {
    const list = view.data;
    return [
      searchBar(view, list, "stream", listedVhost(view)),
      h("section", table({
        label: "Streams", columns: columns(view), rows: list.items, order: orderOf(view),
        key: ({ vhost, name }) => JSON.stringify([vhost, name]), empty: empty(view, list),
      }), pager(view, list)),
    ];
  },
};

/** What removes old messages: the policies' values win over the arguments'. */
function retention({ stream, queue }) {
  const value = (key) => queue.effective_policy_definition?.[key] ?? stream.arguments?.[`x-${key}`];
  const [age, size, segment] = ["max-age", "max-length-bytes", "stream-max-segment-size-bytes"].map(value);
  const limits = [age && `older than ${age}`, size !== undefined && `beyond ${bytes(size)}`].filter(Boolean);
  if (limits.length === 0) return [h("span.badge.warn", "none"), h("p.help", "Nothing is ever removed: the stream grows until the disk is full. Set max-age or max-length-bytes by a policy, which needs no new declaration.")];
  return [`Messages ${limits.join(" or ")} are removed, whole segments at a time.`, segment !== undefined && ` A segment has ${bytes(segment)}.`];
}

function details(view) {
  const { stream, queue } = view.data;
  return h("section", h("h2", "Facts"), facts(
    ["Virtual host", stream.vhost],
    ["Messages", `${count(stream.messages)}, ${bytes(stream.message_bytes)}`],
    ["Offsets", stream.next_offset !== undefined && (stream.messages === 0 ? `none yet; the next is ${count(stream.next_offset)}` : `${count(stream.first_offset)} to ${count(stream.next_offset - 1)}`)],
    ["Segments", stream.segments !== undefined && count(stream.segments)],
    ["On disk", stream.disk_bytes !== undefined && bytes(stream.disk_bytes)],
    ["Retention", retention(view.data)],
    ["Policy", policyLink(stream.vhost, stream.policy)], ["Operator policy", policyLink(stream.vhost, queue.operator_policy, "operator")],
    ["Arguments", argumentsOf(stream.arguments)]),
  h("div.buttons.start", h("a.button.plain", { href: queueAddress(stream.vhost, stream.name) }, "Publish, bindings, delete: its queue page")));
}

const channelLink = (name) => h("a", { href: channelAddress(name) }, name);

/** How far a reader has come: of the offsets that are there, the part before its own. */
function progress(stream, { offset, lag }) {
  const there = stream.next_offset - stream.first_offset;
  if (!Number.isFinite(offset) || !(there > 0)) return null;
  const part = Math.min(1, Math.max(0, 1 - lag / there));
  return h("div.meter", { role: "meter", "aria-label": "Read", "aria-valuenow": Math.round(part * 100), "aria-valuemin": 0, "aria-valuemax": 100, title: percent(part) }, h("span", { style: { width: `${part * 100}%` } }));
}

function readerColumns(stream) {
  return [
    { title: "Consumer tag", cell: (row) => h("code", row.consumer_tag) },
    { title: "User", class: "long", cell: (row) => row.user },
    { title: "Channel", class: "wide", cell: ({ connection, channel }) => connection && channelLink(`${connection} (${channel})`) },
    { title: "Offset", number: true, help: "What it gets next", cell: (row) => count(row.offset) },
    { title: "Lag", number: true, help: "Messages that it has not got yet", cell: (row) => count(row.lag) },
    { title: "Progress", cell: (row) => progress(stream, row) },
    { title: "Prefetch", number: true, cell: (row) => count(row.prefetch_count) },
  ];
}

function readers(stream) {
  const rows = Array.isArray(stream.readers) ? stream.readers : [];
  const behind = rows.filter(({ offset }) => offset < stream.first_offset).length;
  return h("section", h("h2", plural(rows.length, "reader")),
    behind > 0 && h("p.notice", `${plural(behind, "reader")} will miss messages: retention has removed what would come next. Make the readers faster, or keep messages longer.`),
    table({
      label: "Readers", columns: readerColumns(stream), rows, key: (row) => `${row.connection} ${row.channel} ${row.consumer_tag}`,
      empty: h("p", "Nobody reads it now. A consumer names where it begins: basic.consume with the argument ", h("code", "x-stream-offset"), ": first, last, next, an offset, a timestamp, or an interval such as 1h; and it needs a prefetch (basic.qos)."),
    }));
}

const one = {
  path: "/streams/:vhost/:name",
  section: "/streams",
  title: (view) => view.params.name,
  above: () => [["#/streams", "Streams"]],
  async load(view) {
    const name = path`${view.params.vhost}/${view.params.name}`;
    const samples = { ...samplesQuery(view.query.range), columns: "messages_details,message_stats,effective_policy_definition,operator_policy" };
    const [stream, queue] = await Promise.all([view.get(`/streams/${name}`), view.get(withQuery(`/queues/${name}`, samples))]);
    return { stream, queue };
  },
  render(view) {
    const { stream, queue } = view.data;
    const series = [["Published", "publish", 1], ["Delivered", "deliver_get", 3]];
    return [
      rangeChoice(view, ["10m", "1h"]),
      h("div.columns",
        h("section", chart({ title: "Messages a second", unit: "rate", empty: "Nothing was published or read yet.", series: series.map(([name, key, color]) => ({ name, color, points: rates(queue.message_stats?.[`${key}_details`]) })) })),
        h("section", chart({ title: "Messages", series: [{ name: "In the stream", color: 8, points: levels(queue.messages_details) }] }))),
      readers(stream),
      details(view),
    ];
  },
};

export const routes = [all, one];
