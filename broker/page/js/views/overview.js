// The broker at a glance: what it does now, how the node fares, what it listens on, its definitions.

import { h } from "../dom.js";
import { loadVhosts, noPermissions } from "../access.js";
import { download, path, post, request, withQuery } from "../api.js";
import { bytes, count, duration, percent, plural, rate } from "../format.js";
import { chart, levels, rangeChoice, rates, samplesQuery } from "../chart.js";
import { dialog } from "../dialog.js";
import { field } from "../form.js";
import { firstMessage, loadPort } from "./first.js";
import { since } from "./parts.js";

/** The series of a chart of message_stats, in the order of a message's life. */
export function messageRates(stats) {
  const series = [
    ["Published", "publish", 1], ["Confirmed", "confirm", 7], ["Delivered", "deliver_get", 3], ["Acknowledged", "ack", 4],
    ["Redelivered", "redeliver", 2], ["Returned", "return_unroutable", 5], ["Dropped", "drop_unroutable", 6], ["Dead-lettered", "dead_lettered", 8],
  ];
  return series.map(([name, key, color]) => ({ name, color, points: rates(stats?.[`${key}_details`]) })).filter(({ points, name }) => points.some(([, value]) => value > 0) || ["Published", "Delivered", "Acknowledged"].includes(name));
}

/** The series of a chart of numbers of messages. */
export function messageLevels(totals) {
  return [["Ready", "messages_ready", 1], ["Unacknowledged", "messages_unacknowledged", 2], ["Total", "messages", 8]].map(([name, key, color]) => ({ name, color, points: levels(totals?.[`${key}_details`]) }));
}

function tile(address, figure, name) {
  if (figure === "1") name = name.replace(/^messages|s$/, (many) => many.slice(0, -1));
  return h(address ? "a.tile" : "div.tile", { href: address }, h("b", figure), h("span", name));
}

function alarms(node) {
  const said = [];
  if (node.mem_alarm) said.push(["Memory alarm", `The broker uses ${bytes(node.mem_used)}, more than its limit of ${bytes(node.mem_limit)} (vm_memory_high_watermark). Publishers are blocked until it is less; consumers go on. Consume or purge the longest queues, or raise the limit: leveretctl set_vm_memory_high_watermark 0.6 sets it to 60 % of the memory, at once and until a restart.`]);
  if (node.disk_free_alarm) said.push(["Disk alarm", `${bytes(node.disk_free)} are free where the broker keeps its data, less than the limit of ${bytes(node.disk_free_limit)} (disk_free_limit). Publishers are blocked until there is more. Free space on that disk, or consume or purge queues with persistent messages. If the limit is too careful: leveretctl set_disk_free_limit 1GB sets another, at once and until a restart.`]);
  if (node.store?.problem) said.push(["The store cannot be written", `${node.store.problem}. Confirms and declarations wait until it can. Look at the disk of ${node.db_dir} and at the log.`]);
  if (node.being_drained) said.push(["Maintenance", "The node is drained: it takes no connections. “leveretctl revive” ends it."]);
  return said.map(([title, text]) => h("p.error", { role: "alert", key: title }, h("b", title, ". "), text));
}

function nodePanel(node) {
  // Before the start there is nothing, which the samples write as 0.
  const points = (key) => levels(node[`${key}_details`]).filter(([, value]) => value > 0);
  const meter = (name, used, total, write) => h("div", h("dl.facts", h("dt", name), h("dd", `${write(used)} of ${write(total)}`)), h("div", { class: used / total > 0.8 ? "meter high" : "meter", role: "meter", "aria-label": name, "aria-valuenow": Math.round((used / total) * 100), "aria-valuemin": 0, "aria-valuemax": 100 }, h("span", { style: { width: percent(Math.min(1, used / total)).replace(" ", "") } })));
  return h("section",
    h("h2", "Node ", h("span.mono", node.name)),
    h("div.columns",
      chart({ title: "Memory", heading: 3, unit: "bytes", series: [{ name: "Resident", color: 3, points: points("mem_used") }], limit: { value: node.mem_limit, name: "alarm" } }),
      chart({ title: "Free disk", heading: 3, unit: "bytes", series: [{ name: "Free", color: 7, points: points("disk_free") }] })),
    h("div.columns",
      h("div.panel", meter("Memory until the alarm", node.mem_used, node.mem_limit, bytes), meter("File descriptors", node.fd_used, node.fd_total, count), meter("Connections' sockets", node.sockets_used, node.sockets_total, count)),
      h("dl.facts",
        h("dt", "Up for"), h("dd", since(Date.now() - node.uptime)),
        h("dt", "Free disk"), h("dd", `${bytes(node.disk_free)} (alarm below ${bytes(node.disk_free_limit)})`),
        node.store && [h("dt", "Store"), h("dd", `${bytes(node.store.log_bytes)} in the log, ${bytes(node.store.database_bytes)} in the database; the last sync took ${duration(node.store.last_sync_ms)}`)],
        h("dt", "Process"), h("dd", `${node.os_pid}, ${plural(node.processors, "processor")}`),
        h("dt", "Data"), h("dd.mono", node.db_dir),
        h("dt", "Log"), h("dd.mono", node.log_files.length ? node.log_files.join(", ") : "standard output"),
        h("dt", "Configuration"), h("dd.mono", node.config_files.length ? node.config_files.join(", ") : "no file"))));
}

// On a narrow screen it scrolls, and not the page with it.
function wide(label, ...parts) {
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, h("table", parts));
}

function churn(rates = {}, speed) {
  const rows = [["Connections", "connection_created", "connection_closed"], ["Channels", "channel_created", "channel_closed"], ["Queues", "queue_declared", "queue_deleted"]];
  const cell = (key) => h("td.number", rate(rates[`${key}_details`]?.rate ?? 0), " ", h("span.faint", `(${count(rates[key] ?? 0)})`));
  return h("section", h("h2", "Churn"), wide("Churn",
    h("thead", h("tr", h("th", { scope: "col" }, "A second (and since the start)"), h("th.number", { scope: "col" }, "opened"), h("th.number", { scope: "col" }, "closed"))),
    h("tbody", rows.map(([name, opened, closed]) => h("tr", { key: name }, h("th", { scope: "row" }, name), cell(opened), cell(closed))))),
    h("p.help", "Many new connections or channels a second cost more than the messages they carry: keep them open. ", speed("return_unroutable") + speed("drop_unroutable") > 0 && "Some messages reach no queue: trace shows why."));
}

function listeners(all) {
  return h("section", h("h2", "Listeners"), wide("Listeners",
    h("thead", h("tr", ["Protocol", "Address", "Port"].map((title) => h("th", { scope: "col", class: title === "Port" ? "number" : undefined }, title)))),
    h("tbody", all.map((one) => h("tr", { key: `${one.protocol} ${one.ip_address}:${one.port}` }, h("th", { scope: "row" }, one.protocol), h("td", one.ip_address), h("td.number", one.port || "–"))))));
}

// The lists that a definitions file may have, and what one entry is called.
const PARTS = {
  users: "user", vhosts: "virtual host", permissions: "permission", topic_permissions: "topic permission", exchanges: "exchange", queues: "queue",
  bindings: "binding", policies: "policy", parameters: "parameter", global_parameters: "global parameter",
};

// What a file holds, in words, or what is wrong with it.
async function readDefinitions(file) {
  const text = (await file?.text()) ?? "";
  let all;
  try {
    all = JSON.parse(text);
  } catch (error) {
    return { fault: `This file is not JSON: ${error.message}.`, users: [] };
  }
  const found = Object.keys(PARTS).filter((key) => Array.isArray(all?.[key]));
  if (found.length === 0) return { fault: "This is no definitions file: it lists neither queues nor users, nor anything else of a broker's.", users: [] };
  const content = found.filter((key) => all[key].length).map((key) => plural(all[key].length, PARTS[key], key === "policies" ? "policies" : undefined)).join(", ");
  return { text, content: content || "nothing in its lists", users: found.includes("users") ? all.users.map((user) => user?.name) : [] };
}

function definitions(view) {
  if (!view.may()) return null;
  const { vhosts } = view.data;
  const address = (vhost) => (vhost ? path`/definitions/${vhost}` : "/definitions");
  const vhostChoice = (id) => h("select", { id, name: "vhost" }, h("option", { value: "" }, "the whole broker"), vhosts.map(({ name }) => h("option", { value: name, key: name }, name)));
  const save = () => {
    const vhost = document.getElementById("export-vhost").value;
    const name = `leveret-definitions${vhost ? `-${vhost.replace(/\W+/g, "_")}` : ""}-${new Date().toISOString().slice(0, 10)}.json`;
    view.act(async () => download(name, await request("GET", address(vhost), { raw: true })), "The definitions are saved to a file.");
  };
  const upload = async () => {
    let file = null;
    const done = await dialog({
      title: "Upload definitions",
      button: "Upload",
      content: (redraw) => h("div.fields",
        h("div.wide", field("File", h("input", { type: "file", name: "file", accept: ".json,application/json", required: true, onchange: async (event) => { file = null; file = await readDefinitions(event.target.files[0]); redraw(); } }), "A definitions file of Leveret or RabbitMQ. Objects that exist already stay as they are; users and policies of the same name are replaced.")),
        field("For", vhostChoice("import-vhost")),
        file && h("div.wide", h("p", { class: file.fault ? "error" : "ok", role: "status" }, file.fault ?? `It has ${file.content}.`)),
        file?.users.includes(view.user.name) && h("div.wide", h("p.notice", `Your own user, ${view.user.name}, is replaced by the file's. If that has another password you are signed out, and sign in with it.`))),
      async action({ elements }) {
        file ??= await readDefinitions(elements.file.files[0]);
        if (file.fault) throw new Error("Choose another file.");
        await post(address(elements.vhost.value), file.text);
        return file.content;
      },
    });
    if (done) view.act(async () => {}, `The definitions are loaded: ${done}.`);
  };
  return h("section", h("h2", "Definitions"),
    h("p.help", "Users, virtual hosts, permissions, exchanges, queues, bindings, policies and limits, without messages, as RabbitMQ reads and writes them. The file has password hashes: keep it safe."),
    h("div.bar", h("label", { for: "export-vhost" }, "Of"), vhostChoice("export-vhost"), h("button", { type: "button", onclick: save }, "Download"), h("button", { type: "button", onclick: upload }, "Upload…")));
}

const overview = {
  path: "/",
  title: "Overview",
  async load(view) {
    const range = samplesQuery(view.query.range);
    const node = view.may("monitoring") && view.get(withQuery("/nodes", samplesQuery(view.query.range, ["node_stats"])));
    const [all, nodes, vhosts] = await Promise.all([view.get(withQuery("/overview", range)), node, view.may() ? view.get("/vhosts?columns=name") : loadVhosts(view)]);
    if (all.object_totals.queues === 0) await loadPort(view);
    return { all, node: nodes?.[0], vhosts };
  },
  render(view) {
    const { all, node } = view.data;
    const { object_totals: objects, queue_totals: totals, message_stats: stats = {} } = all;
    const speed = (key) => stats[`${key}_details`]?.rate ?? 0;
    return [
      node && alarms(node),
      h("div.tiles", { class: objects.consumers === undefined ? undefined : "nine" },
        tile("#/queues?sort=messages_ready&reverse=true", count(totals.messages_ready ?? 0), "messages ready"),
        tile("#/queues?sort=messages_unacknowledged&reverse=true", count(totals.messages_unacknowledged ?? 0), "unacknowledged"),
        tile(null, rate(speed("publish")), "published"),
        tile(null, rate(speed("deliver_get")), "delivered"),
        tile("#/connections", count(objects.connections), "connections"),
        tile("#/channels", count(objects.channels), "channels"),
        tile("#/queues", count(objects.queues), "queues"),
        tile("#/exchanges", count(objects.exchanges), "exchanges"),
        objects.consumers !== undefined && tile(null, count(objects.consumers), "consumers")),
      objects.queues === 0 && objects.connections === 0 && h("section", view.data.vhosts.length ? [h("h2", "Send a first message"), firstMessage(view)] : noPermissions(view)),
      rangeChoice(view),
      h("div.columns",
        h("section", chart({ title: "Messages a second", unit: "rate", series: messageRates(stats), empty: "Nothing was published yet." })),
        h("section", chart({ title: "Queued messages", series: messageLevels(totals) }))),
      node && nodePanel(node),
      h("div.columns", churn(all.churn_rates, speed), all.listeners && listeners(all.listeners)),
      definitions(view),
      h("p.faint", `Leveret ${all.product_version}, compatible with RabbitMQ ${all.rabbitmq_version}. Cluster name: ${all.cluster_name}.`),
    ];
  },
};

// There is one node: RabbitMQ's page for it is the overview.
export const routes = [overview, { ...overview, path: "/nodes/:name", section: "/" }];
