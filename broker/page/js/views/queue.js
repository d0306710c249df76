// One queue: what it does, who consumes from it, what leads to it, and its messages.

import { h } from "../dom.js";
import { access, lacking, loadAccess } from "../access.js";
import { path, remove, withQuery } from "../api.js";
import { chart, rangeChoice, samplesQuery } from "../chart.js";
import { confirm, dialog } from "../dialog.js";
import { check } from "../form.js";
import { bytes, count, duration, percent, plural, rate } from "../format.js";
import { channelAddress, connectionAddress, exchangeLink, streamAddress } from "../links.js";
import { table } from "../table.js";
import { bindingsSection } from "./bindings.js";
import { messagesTab } from "./messages.js";
import { messageLevels, messageRates } from "./overview.js";
import { argumentsOf, facts, loadClientNames, policyLink, since, written } from "./parts.js";
import { publishForm } from "./publish.js";

// Short names of what a queue has, as RabbitMQ's page has them.
const FEATURES = { "x-message-ttl": "TTL", "x-expires": "Exp", "x-max-length": "Lim", "x-max-length-bytes": "Lim B", "x-overflow": "Ovfl", "x-max-age": "Age", "x-dead-letter-exchange": "DLX", "x-dead-letter-routing-key": "DLK", "x-max-priority": "Pri", "x-single-active-consumer": "SAC", "x-delivery-limit": "DL", "x-delayed-retry-type": "Retry" };

/** The badges of what a queue was declared with. */
export function features({ durable, auto_delete: autoDelete, exclusive, arguments: all = {} }) {
  const others = Object.keys(all).filter((key) => !FEATURES[key] && key !== "x-queue-type");
  const badges = [
    durable === false && ["transient", "It does not survive a restart."],
    autoDelete && ["AD", "auto-delete: it is deleted with its last consumer."],
    exclusive && ["Excl", "exclusive: it belongs to one connection, and goes with it."],
    ...Object.entries(FEATURES).filter(([key]) => key in all).map(([key, name]) => [name, `${key}: ${written(all[key])}`]),
    others.length > 0 && ["Args", others.map((key) => `${key}: ${written(all[key])}`).join(", ")],
  ];
  return badges.filter(Boolean).map(([name, title]) => [h("abbr.badge", { title, key: name }, name), " "]);
}

/** A queue's state, in a word and a colour. */
export function stateBadge({ state }) {
  const colour = { running: "good", idle: "" }[state] ?? (state === "flow" ? "warn" : "bad");
  return state ? h("span.badge", { class: colour }, state) : "–";
}

// What an operator should know at a glance, in sentences.
function remarks({ type, messages_ready: ready = 0, messages_unacknowledged: unacked = 0, consumers = 0, arguments: all = {}, effective_policy_definition: policy, messages_delayed: delayed, next_delayed_at: due, messages_dlx: letters, message_stats: stats }) {
  const limit = Math.min(all["x-max-length"] ?? Infinity, policy?.["max-length"] ?? Infinity);
  const overflow = all["x-overflow"] ?? policy?.overflow ?? "drop-head";
  const [incoming, done] = [stats?.publish_details?.rate ?? 0, stats?.ack_details?.rate ?? 0];
  const works = type !== "stream" && consumers > 0;
  return [
    type !== "stream" && ready > 0 && consumers === 0 && `${plural(ready, "message")} ${ready === 1 ? "waits" : "wait"} here, and nobody consumes.`,
    ready > 0 && ready >= limit && `It is full (max-length ${count(limit)}): ${overflow === "drop-head" ? "each new message pushes the oldest out." : "new messages are refused."}`,
    works && ready > 1000 && incoming > done * 1.1 && done > 0 && `It grows: ${rate(incoming)} come in, and ${rate(done)} are acknowledged.`,
    works && ready === 0 && unacked > 1000 && "Consumers hold all messages unacknowledged. With a smaller prefetch others would get some.",
    delayed > 0 && `${plural(delayed, "message")} ${delayed === 1 ? "waits" : "wait"} for another try${due ? `, the next in ${duration(due - Date.now())}` : ""}.`,
    letters > 0 && `${plural(letters, "dead letter")} ${letters === 1 ? "has" : "have"} found no queue yet; the broker tries again each second.`,
  ].filter(Boolean).map((text) => h("p.notice", { key: text.slice(-12) }, text));
}

function charts(view) {
  const { queue } = view.data;
  return [rangeChoice(view, ["1m", "10m", "1h"]), h("div.columns",
    h("section", chart({ title: "Messages in the queue", series: messageLevels(queue) })),
    h("section", chart({ title: "Messages a second", unit: "rate", series: messageRates(queue.message_stats), empty: "Nothing was published or delivered yet." })))];
}

function tiles({ messages_ready: ready, messages_unacknowledged: unacked, messages, message_bytes: size, consumers, message_stats: stats }) {
  const speed = (key) => rate(stats?.[`${key}_details`]?.rate ?? 0);
  const all = [[count(ready ?? messages), "ready"], [count(unacked ?? 0), "unacknowledged"], [bytes(size), "in message bodies"], [speed("publish"), "in"], [speed("deliver_get"), "out"], [speed("ack"), "acknowledged"], [count(consumers), consumers === 1 ? "consumer" : "consumers"]];
  return h("div.tiles", all.map(([figure, name]) => h("div.tile", { key: name }, h("b", figure), h("span", name))));
}

// Arguments and definitions, with what their numbers mean and a link to the dead letter exchange.
function definition(vhost, all) {
  const entries = Object.entries(all ?? {});
  return entries.length === 0 ? "none" : h("ul.plain-list", entries.map(([key, value]) => {
    const unit = Number.isFinite(value) && (/(ttl|expires|timeout|retry-m..)$/.test(key) ? duration(value) : /bytes$/.test(key) && bytes(value));
    return h("li", { key }, h("code", key), ": ", key.endsWith("dead-letter-exchange") ? exchangeLink(vhost, value) : written(value), unit && ` (${unit})`);
  }));
}

function factsSection(queue) {
  const { vhost, policy, operator_policy: operator, owner_pid_details: owner, head_message_timestamp: head, consumer_utilisation: part } = queue;
  const held = (where) => Number.isFinite(queue[`message_bytes_${where}`]) && `${plural(queue[`messages_${where}`] ?? 0, "message")}, ${bytes(queue[`message_bytes_${where}`])}`;
  return h("section", h("h2", "Facts"), h("div.columns",
    facts(["Virtual host", vhost], ["Type", queue.type ?? "classic"], ["State", stateBadge(queue)],
      ["Life", [queue.durable ? "survives a restart" : "transient: goes with a restart", queue.auto_delete && ", deleted with its last consumer (auto-delete)", queue.exclusive && ", exclusive to one connection"]],
      ["Arguments", definition(vhost, queue.arguments)],
      ["Policy", policyLink(vhost, policy) ?? "none"], ["Operator policy", policyLink(vhost, operator, "operator")],
      ["They set", (policy || operator) && definition(vhost, queue.effective_policy_definition)],
      ["Owner", owner?.name && h("a", { href: connectionAddress(owner.name) }, owner.name)], ["Node", queue.leader ?? queue.node]),
    facts(["Message bodies", `${bytes(queue.message_bytes_ready)} ready, ${bytes(queue.message_bytes_unacknowledged)} unacknowledged`],
      ["In memory", held("ram")], ["Only on disk", held("paged_out")], ["Persistent", held("persistent")], ["Memory", bytes(queue.memory)],
      ["Consumer utilisation", queue.consumers > 0 && Number.isFinite(part) && `consumers were ready for more ${percent(part)} of the time${part < 0.9 ? ". More of them, or a larger prefetch, would raise it." : ""}`],
      ["Single active consumer", queue.single_active_consumer_tag],
      ["First message", head && ["published ", since(head * 1000), " ago, by its timestamp"]],
      ["Delayed retry", queue.delayed_retry !== "disabled" && queue.delayed_retry])));
}

const SHOWN = 200;
const ACTIVITY = { up: "gets messages", single_active: "the single active one", waiting: "waits for its turn" };

function consumers({ consumer_details: all = [], type }, clients = {}) {
  const shown = all.slice(0, SHOWN);
  const columns = [
    { title: "Tag", cell: ({ consumer_tag: tag }) => h("span.mono", tag) },
    { title: "Channel", cell: ({ channel_details: { name, connection_name: connection } = {} }) => (name ? [h("a", { href: channelAddress(name) }, name), clients[connection] && h("div", { dir: "auto" }, clients[connection])] : "its connection has ended") },
    { title: "User", cell: ({ channel_details: { user } = {} }) => user ?? "–" },
    { title: "Acknowledgement", cell: ({ ack_required: required }) => (required ? "manual" : "automatic") },
    { title: "Prefetch", number: true, cell: ({ prefetch_count: most }) => (most ? count(most) : "no limit") },
    { title: "State", cell: ({ activity_status: status, exclusive }) => [ACTIVITY[status] ?? status, exclusive && ", exclusive"] },
    { title: "Timeout", number: true, cell: ({ consumer_timeout: most }) => (most > 0 ? duration(most) : most === 0 ? "none" : "–") },
    { title: "Arguments", cell: ({ arguments: given }) => argumentsOf(given, "–") },
  ];
  const key = ({ consumer_tag: tag, channel_details: { name } = {} }) => `${name} ${tag}`;
  return h("section", h("h2", `Consumers (${count(all.length)})`),
    table({ label: "Consumers", columns, rows: shown, key, empty: type === "stream" ? "Nobody reads this stream now." : "Nobody consumes from this queue. Messages wait until somebody does." }),
    shown.length < all.length && h("p.help", `The first ${count(shown.length)} are shown.`));
}

async function purge(view) {
  const { queue } = view.data;
  const { vhost, name, messages_ready: ready = 0, messages_unacknowledged: unacked = 0 } = queue;
  const done = await confirm({
    title: `Purge ${name}`, button: "Purge",
    question: `Delete the ${plural(ready, "ready message")} of ${name}? ${unacked ? `${plural(unacked, "message")} that consumers hold unacknowledged stay. ` : ""}Nothing is dead-lettered, and this cannot be undone.`,
    action: () => remove(path`/queues/${vhost}/${name}/contents`),
  });
  if (done) view.act(async () => {}, `${name} is purged.`);
}

async function destroy(view) {
  const { queue, bindings } = view.data;
  const { vhost, name, messages = 0, consumers: consuming = 0 } = queue;
  const bound = bindings.filter(({ source }) => source !== "").length;
  const done = await dialog({
    title: `Delete ${name}`, button: "Delete", danger: true,
    content: [
      h("p", `Delete ${name} and its ${plural(messages, "message")}? `, bound > 0 && `${plural(bound, "binding")} ${bound === 1 ? "goes" : "go"} with it. `, consuming > 0 && `${plural(consuming, "consumer")} will be cancelled. `, "This cannot be undone."),
      queue.type !== "stream" && [check("Only if it is empty", "empty"), check("Only if nobody consumes", "unused")],
    ],
    action: async ({ elements }) => {
      await remove(withQuery(path`/queues/${vhost}/${name}`, { "if-empty": elements.empty?.checked, "if-unused": elements.unused?.checked }));
      return true;
    },
  });
  if (done) view.go("#/queues");
}

const DEFAULT = { exchange: "amq.default" };

/** Asks what the user may do with a queue, with messages for it, and with other things of its virtual host. */
function loadRights(view) {
  const { vhost, name } = view.params;
  return Promise.all([{ queue: name }, DEFAULT, {}].map((what) => loadAccess(view, vhost, what)));
}

/** What the user may do here. */
function rights(view) {
  const { vhost, name } = view.params;
  const [own, others] = [access(view, vhost, { queue: name }), access(view, vhost)];
  const publish = access(view, vhost, DEFAULT).write;
  const isStream = view.data.queue.type === "stream";
  return { get: own.read && !isStream, publish, move: own.read && publish && !isStream, bind: own.write && others.read, destroy: own.configure, declare: others.configure, isStream };
}

function buttons(view, may) {
  const { vhost, name } = view.data.queue;
  const tabs = [["", "Overview"], (may.get || may.isStream) && ["messages", "Messages"], may.publish && ["publish", "Publish"]].filter(Boolean);
  return h("div.bar",
    h("nav.choice", { "aria-label": "Parts of this page" }, tabs.map(([tab, title]) =>
      h("a", { key: title, href: view.link({ tab: tab || undefined }), "aria-current": (view.query.tab ?? "") === tab ? "true" : undefined }, title))),
    may.isStream && h("a", { href: streamAddress(vhost, name) }, "Offsets and readers"),
    h("span.spring"),
    may.declare && h("a.button.plain", { href: withQuery("#/declare/queue", { vhost, like: name }) }, "Declare one like it"),
    may.get && h("button.danger", { type: "button", onclick: () => purge(view) }, "Purge…"),
    may.destroy && h("button.danger", { type: "button", onclick: () => destroy(view) }, "Delete…"));
}

export const queueRoute = {
  path: "/queues/:vhost/:name",
  section: "/queues",
  title: (view) => view.params.name || "(empty name)",
  above: (view) => [["#/queues", "Queues"], [withQuery("#/queues", { vhost: view.params.vhost }), view.params.vhost]],
  async load(view) {
    const { vhost, name } = view.params;
    const address = path`/queues/${vhost}/${name}`;
    const { tab, range } = view.query;
    const [queue, bindings] = await Promise.all([view.get(withQuery(address, tab ? {} : samplesQuery(range))), view.get(`${address}/bindings`), loadRights(view)]);
    if (!tab) await loadClientNames(view, (queue.consumer_details ?? []).map(({ channel_details: channel }) => channel?.connection_name));
    return { queue, bindings };
  },
  render(view) {
    const { queue } = view.data;
    const { tab } = view.query;
    const { vhost, name } = view.params;
    const may = rights(view);
    const parts = {
      messages: () => messagesTab(view, may),
      publish: () => may.publish && h("section", h("h2", "Publish a message"), h("p.help", "It goes to this queue by way of the default exchange."), publishForm(view, { vhost, exchange: "", routingKey: name })),
    };
    return [
      buttons(view, may),
      lacking([may.get || may.isStream, "get or purge messages"], [may.publish, "publish"], [may.move || may.isStream, "move messages"], [may.bind, "change bindings"], [may.destroy, "delete the queue"]),
      tiles(queue), remarks(queue),
      parts[tab]?.() ?? [charts(view), consumers(queue, view.state.clients), bindingsSection(view, may), factsSection(queue)],
    ];
  },
};
