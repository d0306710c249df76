// Queues: the list, and what can be done to several of them at once.

import { h } from "../dom.js";
import { access, lacking, noPermissions, vhostsWith } from "../access.js";
import { path, put, remove, withQuery } from "../api.js";
import { policyKeys } from "../arguments.js";
import { bulk, nameList } from "../bulk.js";
import { levels, sparkline } from "../chart.js";
import { notify } from "../dialog.js";
import { fromPairs, pairs, text } from "../form.js";
import { bytes, count, percent, plural, rate } from "../format.js";
import { queueLink } from "../links.js";
import { isClosed, listedVhost, loadPage, loadWithVhosts, orderOf, pager, searchBar, showsSeveral, table } from "../table.js";
import { declareRoute } from "./declare.js";
import { firstMessage, loadPort } from "./first.js";
import { features, queueRoute, stateBadge } from "./queue.js";

// The small charts show ten minutes by twenty samples.
const TREND = { lengths_age: 600, lengths_incr: 30 };

const value = (row, key) => key.split(".").reduce((part, name) => part?.[name], row);
const quiet = (figure, written) => (figure ? written : h("span.faint", written));

const number = (id, title, key, write, shown, help) => ({
  id, title, keys: [key], sort: key, number: true, shown, help,
  cell: (row) => quiet(value(row, key), write(value(row, key))),
});
const speed = (id, title, counter, shown, help) => {
  const key = `message_stats.${counter}_details.rate`;
  return { ...number(id, title, key, rate, shown, help), cell: (row) => quiet(value(row, key), rate(value(row, key) ?? 0)) };
};

// What the list can show; `shown`: what it shows unless the address says otherwise.
const COLUMNS = [
  { id: "type", title: "Type", keys: ["durable", "auto_delete", "exclusive", "arguments", "operator_policy"], sort: "type", shown: true, help: "The type, what it was declared with, and the policy that applies", cell: (row) => [row.type ?? "classic", " ", features(row), policyCell(row)] },
  { id: "state", title: "State", keys: ["state"], sort: "state", shown: true, cell: stateBadge },
  number("ready", "Ready", "messages_ready", count, true, "Messages that wait for a consumer"),
  number("unacked", "Unacked", "messages_unacknowledged", count, true, "Messages that consumers have, and have not acknowledged"),
  number("total", "Total", "messages", count, true, "All messages"),
  { id: "trend", title: "10 minutes", keys: ["messages_details.samples"], shown: true, help: "All messages over the last ten minutes", cell: trend },
  number("bytes", "Bytes", "message_bytes", bytes, true, "The size of all message bodies"),
  speed("in", "In", "publish", true, "Messages that enter the queue"),
  speed("out", "Out", "deliver_get", true, "Messages that are delivered, or got"),
  speed("ack", "Ack", "ack", true, "Messages that are acknowledged"),
  { ...number("consumers", "Consumers", "consumers", count, true, "How many, and the part of the time in which they were ready for more"), keys: ["consumer_utilisation"], cell: ({ consumers, consumer_utilisation: part }) => quiet(consumers, `${count(consumers)}${consumers && Number.isFinite(part) ? `, ${percent(part)}` : ""}`) },
  { ...number("utilisation", "Utilisation", "consumer_utilisation", percent, false, "The part of the time in which consumers were ready for more"), cell: (row) => (row.consumers ? percent(row.consumer_utilisation ?? NaN) : "–") },
  { id: "policy", title: "Policy", keys: [], sort: "policy", cell: ({ policy }) => policy ?? "–" },
  speed("redelivered", "Redelivered", "redeliver", false, "Messages that are delivered again"),
  number("persistent", "Persistent", "messages_persistent", count, false, "Messages that survive a restart"),
  number("paged-out", "Paged out", "message_bytes_paged_out", bytes, false, "The size of the message bodies that are only on disk"),
  number("memory", "Memory", "memory", bytes, false, "What the queue takes in memory"),
];

function policyCell({ vhost, policy, operator_policy: operator }) {
  return [policy, operator].map((name, index) => name && [h("a.badge", { href: withQuery("#/policies", { kind: index ? "operator" : undefined, vhost, name }), title: index ? "the operator policy that applies" : "the policy that applies" }, name), " "]);
}

function trend({ messages_details: details, messages }) {
  return sparkline(levels(details), `${plural(messages ?? 0, "message")}, over the last ten minutes`);
}

function chosenColumns(view) {
  const named = view.query.columns?.split(",");
  return COLUMNS.filter(({ id, shown }) => (named ? named.includes(id) : shown));
}

function columnChoice(view) {
  const chosen = new Set(chosenColumns(view).map(({ id }) => id));
  const change = (id, on) => {
    on ? chosen.add(id) : chosen.delete(id);
    const all = COLUMNS.filter(({ id }) => chosen.has(id)).map(({ id }) => id);
    const usual = COLUMNS.every(({ id, shown }) => chosen.has(id) === Boolean(shown));
    // With no column left the names are still there.
    view.go(view.link({ columns: usual ? undefined : all.join(",") || "none" }), { replace: true });
  };
  return h("details.column-choice", h("summary", "Columns"), h("div.panel", COLUMNS.map(({ id, title, help }) =>
    h("label.inline", { key: id, title: help }, h("input", { type: "checkbox", checked: chosen.has(id), onchange: (event) => change(id, event.target.checked) }), title))));
}

// The rows that are selected, which need not be on the page that is shown.
function selectedRows(view) {
  return [...view.state.selection].map((key) => view.state.seen.get(key)).filter(Boolean);
}

const listAddress = ({ query: { vhost } }) => (vhost === undefined ? "/queues" : path`/queues/${vhost}`);
const rowKey = ({ vhost, name }) => JSON.stringify([vhost, name]);
const rowName = ({ name }) => name || "(empty name)";
const total = (rows, key) => rows.reduce((sum, row) => sum + (row[key] ?? 0), 0);

function finish(view, done, what) {
  if (done) view.act(async () => {}, `${plural(done, "queue")} ${what}.`);
}

async function purge(view, rows) {
  const ready = total(rows, "messages_ready");
  const done = await bulk({
    title: `Purge ${plural(rows.length, "queue")}`, button: "Purge", danger: true, items: rows, name: rowName, noun: "queue",
    question: [h("p", `Delete their ${plural(ready, "ready message")}? Unacknowledged messages stay with their consumers.`), nameList(rows.map(rowName))],
    action: ({ vhost, name }) => remove(path`/queues/${vhost}/${name}/contents`),
  });
  finish(view, done, "purged");
}

async function destroy(view, rows) {
  const [messages, consumers] = [total(rows, "messages"), total(rows, "consumers")];
  const done = await bulk({
    title: `Delete ${plural(rows.length, "queue")}`, button: "Delete", danger: true, items: rows, name: rowName, noun: "queue",
    question: [h("p", `Delete them with their ${plural(messages, "message")} and all their bindings? ${consumers ? `${plural(consumers, "consumer")} will be cancelled.` : "They have no consumers."}`), nameList(rows.map(rowName))],
    action: async (row) => {
      await remove(path`/queues/${row.vhost}/${row.name}`);
      view.state.selection.delete(rowKey(row));
    },
  });
  finish(view, done, "deleted");
}

const escaped = (name) => name.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
// The broker takes no longer pattern.
const LONGEST_PATTERN = 4096;

// For each virtual host a pattern that matches these queues and no others; of too many the pattern of the search that found all.
function patternsOf(view, rows) {
  const exact = new Map([...new Set(rows.map(({ vhost }) => vhost))].map((vhost) => [vhost, `^(${rows.filter((row) => row.vhost === vhost).map(({ name }) => escaped(name)).join("|")})$`]));
  const fits = [...exact.values()].every((pattern) => new TextEncoder().encode(pattern).length <= LONGEST_PATTERN);
  if (fits) return { patterns: exact, says: "The pattern matches exactly the chosen names:" };
  if (rows.length < view.data.filtered_count) return { fault: "The names are too long for one pattern. Search for what they have in common and select all that are found: then the search becomes the pattern." };
  const { name = "", regex } = view.query;
  const pattern = regex === "true" || !name ? name : `(?i)${escaped(name)}`;
  return { patterns: new Map([...exact.keys()].map((vhost) => [vhost, pattern])), says: "These are too many names for a pattern: it is what was searched for, and matches further queues with such names, too:" };
}

async function setPolicy(view, rows) {
  const { patterns, says, fault } = patternsOf(view, rows);
  if (fault) return notify(fault, true);
  const vhosts = [...patterns.keys()];
  const earlier = [...new Set(rows.map(({ policy }) => policy).filter(Boolean))];
  const definition = [["", ""]];
  const done = await bulk({
    title: `Set a policy for ${plural(rows.length, "queue")}`, button: "Set policy", wide: true, items: vhosts, name: (vhost) => `virtual host ${vhost}`, noun: "virtual host",
    question: (redraw) => h("div.fields",
      text("Name", "name", "A policy of this name is replaced.", { required: true }),
      text("Priority", "priority", `Of the policies that match a queue only the one with the highest priority applies. ${earlier.length ? `Some of these queues have ${earlier.join(", ")} now.` : "No policy applies to these queues now."}`, { type: "number", value: "0", required: true }),
      h("div.wide", pairs("Definition", definition, redraw, { known: policyKeys })),
      h("div.wide", h("p.help", says), vhosts.map((vhost) => h("pre", { key: vhost }, patterns.get(vhost) || "(empty: every queue)")))),
    check: () => {
      if (Object.keys(fromPairs(definition)).length === 0) throw new Error("Say what the policy sets, such as max-length 1000.");
    },
    action: (vhost, form) => put(path`/policies/${vhost}/${form.elements.name.value}`, { pattern: patterns.get(vhost), definition: fromPairs(definition), priority: Number(form.elements.priority.value), "apply-to": "queues" }),
  });
  if (done) view.act(async () => {}, `The policy for ${plural(rows.length, "queue")} is set.`);
}

// More are too many for one dialog.
const MOST_SELECTED = 10000;
const KNOWN = ["name", "vhost", "type", "policy", "messages", "messages_ready", "consumers"];

// Selects what is on the other pages, too.
async function selectAll(view) {
  const { state, query } = view;
  // By name, so that nothing moves from page to page meanwhile; and asking for the view again does not end it.
  const all = (page) => ({ ...view, query: { ...query, page, size: 500, sort: undefined, reverse: undefined }, get: (address) => view.get(address, { signal: undefined }) });
  state.selecting = true;
  view.redraw();
  try {
    for (let [page, pages] = [1, 1]; page <= pages && state.selection.size < MOST_SELECTED; page += 1) {
      const list = await loadPage(all(page), listAddress(view), { columns: KNOWN });
      pages = list.page_count;
      for (const row of list.items.slice(0, MOST_SELECTED - state.selection.size)) {
        state.selection.add(rowKey(row));
        state.seen.set(rowKey(row), row);
      }
    }
  } catch (error) {
    notify(error.message, true);
  }
  state.selecting = false;
  view.redraw();
}

// What is offered once a whole page is selected, and there are others.
function selectAllButton(view) {
  const { state, data: list } = view;
  const found = Math.min(list.filtered_count, MOST_SELECTED);
  if (list.page_count <= 1 || state.selection.size >= found || !list.items.every((row) => state.selection.has(rowKey(row)))) return null;
  return h("button", { type: "button", "aria-disabled": state.selecting ? "true" : undefined, onclick: () => state.selecting || selectAll(view) },
    list.filtered_count > found ? `Select the first ${count(found)} of ${count(list.filtered_count)} found` : `Select all ${count(found)} found`);
}

function selectionBar(view) {
  const { selection } = view.state;
  if (selection.size === 0) return null;
  const rows = selectedRows(view);
  const where = (right) => rows.filter(({ vhost }) => access(view, vhost)[right]);
  const [readable, deletable] = [where("read"), where("configure")];
  const purgeable = readable.filter(({ type }) => type !== "stream");
  const some = (word, { length }, why = "") => (length < rows.length ? `${word} ${length}${why}…` : `${word}…`);
  return h("div.bar.selection", { role: "group", "aria-label": "What to do with the selected queues" },
    h("b", { role: "status" }, `${count(selection.size)} selected`),
    selectAllButton(view),
    purgeable.length > 0 && h("button.danger", { type: "button", onclick: () => purge(view, purgeable) }, some("Purge", purgeable, readable.length === rows.length ? " (not streams)" : "")),
    deletable.length > 0 && h("button.danger", { type: "button", onclick: () => destroy(view, deletable) }, some("Delete", deletable)),
    view.may("policymaker") && h("button", { type: "button", onclick: () => setPolicy(view, rows) }, "Set policy…"),
    h("button.plain", { type: "button", onclick: () => { selection.clear(); view.redraw(); } }, "Select none"));
}

function nothing(view) {
  const list = view.data;
  if (list.refused) return null;
  if (isClosed(view)) return noPermissions(view);
  if (list.total_count > 0) return h("p", "No queue has such a name. ", h("a", { href: view.link({ name: undefined, regex: undefined, page: undefined }) }, "Show all"));
  return [h("p", "There are no queues here. ", vhostsWith(view, "configure").length > 0 && [h("a", { href: withQuery("#/declare/queue", { vhost: view.query.vhost }) }, "Declare one"), ", or let a client do it."]), firstMessage(view)];
}

const listRoute = {
  path: "/queues",
  title: "Queues",
  async load(view) {
    const columns = new Set([...KNOWN, ...chosenColumns(view).flatMap(({ keys }) => keys)]);
    const parameters = columns.has("messages_details.samples") ? TREND : {};
    const list = await loadWithVhosts(view, "/queues", { columns: [...columns], parameters });
    if (list.total_count === 0) await loadPort(view);
    return list;
  },
  render(view) {
    const { data: list, state, query } = view;
    state.selection ??= new Set();
    // What is selected on other pages stays as it was seen there.
    const elsewhere = [...(state.seen ?? [])].filter(([key]) => state.selection.has(key));
    state.seen = new Map([...elsewhere, ...list.items.map((row) => [rowKey(row), row])]);
    const vhostColumn = { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => vhost };
    const columns = [
      { title: "Name", sort: "name", cell: ({ vhost, name }) => queueLink(vhost, name) },
      showsSeveral(view) && vhostColumn,
      ...chosenColumns(view),
    ].filter(Boolean);
    const [mayDeclare, mayRead] = ["configure", "read"].map((right) => vhostsWith(view, right).length > 0);
    const selection = mayDeclare || mayRead || view.may("policymaker") ? state.selection : undefined;
    return [
      searchBar(view, list, "queue", listedVhost(view), columnChoice(view), mayDeclare && h("a.button", { href: withQuery("#/declare/queue", { vhost: query.vhost }) }, "Declare a queue")),
      !isClosed(view) && lacking([mayDeclare, "declare or delete queues"], [mayRead, "purge them"]),
      selectionBar(view),
      h("section", table({ label: "Queues", columns, rows: list.items, key: rowKey, name: rowName, order: orderOf(view), selection, redraw: view.redraw, empty: nothing(view) })),
      pager(view, list),
    ];
  },
};

export const routes = [listRoute, queueRoute, declareRoute];
