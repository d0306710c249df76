// Permissions: what a user may do in a virtual host, as patterns and in words; the table of all, and the pieces of a user's page.

import { h } from "../dom.js";
import { get, path, put, remove, withQuery } from "../api.js";
import { confirm, dialog, notify } from "../dialog.js";
import { field, text } from "../form.js";
import { localPage, orderOf, pager, searchBar, table } from "../table.js";

const WHAT = {
  configure: ["Configure", "declare and delete", "Queues and exchanges that the user may declare and delete."],
  write: ["Write", "publish to and bind", "Exchanges that the user may publish to, and queues that the user may bind. amq.default is the default exchange."],
  read: ["Read", "consume from", "Queues that the user may consume from, get from and purge, and exchanges that the user may bind queues to."],
};
const TOPIC = {
  write: ["Publish with", "publish with", "Routing keys that the user may publish with. {username} and {vhost} stand for the names, {client_id} for an MQTT client's."],
  read: ["Bind with", "bind with", "Routing keys that the user may bind queues to this exchange with."],
};
const LITERAL = /^(?:[^\\^$.|?*+()[\]{}]|\\[\W_])*$/;

/** Returns the regular expression of a text. */
export const escapePattern = (name) => name.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
const unescape = (pattern) => pattern.replace(/\\(.)/g, "$1");

/** Returns which preset a pattern is, "all", "nothing", "prefix" or "pattern", and the prefix. */
function presetOf(pattern) {
  if (pattern === "" || pattern === "^$") return ["nothing", ""];
  if (/^\^?(\.\*\$?)?$/.test(pattern)) return ["all", ""];
  const prefix = /^\^(.+?)(?:\.\*\$?)?$/s.exec(pattern)?.[1];
  return prefix && LITERAL.test(prefix) ? ["prefix", unescape(prefix)] : ["pattern", ""];
}

/** Says in words which names a pattern allows. */
export function meaning(pattern) {
  const [preset, prefix] = presetOf(pattern);
  if (preset === "all") return "everything";
  if (preset === "nothing") return "nothing";
  if (preset === "prefix") return `names that begin with “${prefix}”`;
  const [, several, one] = /^\^(?:\(([^()]+)\)|([^|()]+))\$$/s.exec(pattern) ?? [];
  const exact = (several ?? one)?.split("|");
  if (exact?.every((one) => LITERAL.test(one))) return `only ${exact.map((one) => `“${unescape(one)}”`).join(" and ")}`;
  if (LITERAL.test(pattern)) return `names that contain “${unescape(pattern)}”`;
  return "names that match this regular expression";
}

function sentence(permission, what, user) {
  const parts = Object.entries(what).map(([key, [, verb]]) => {
    const names = meaning(permission[key]);
    return `${verb} ${names === "names that match this regular expression" ? `names that match ${permission[key]}` : names}`;
  });
  return `${user || "The user"} may ${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}.`;
}

/** Says what a pattern of `write` means for publishing straight to queues. */
function defaultExchange(pattern) {
  try {
    if (new RegExp(pattern).test("amq.default") && pattern !== "") return null;
  } catch {
    return "This page cannot read the pattern of “Write”. The broker will say whether it can.";
  }
  return "Publishing straight to a queue goes through the default exchange, amq.default, which “Write” does not match.";
}

/** A cell with a pattern and, below, what it allows. */
export function patternCell(pattern) {
  const words = meaning(pattern);
  return [h("code", pattern === "" ? "(empty)" : pattern), words.startsWith("names that match this") ? null : h("div.help", words)];
}

/** The fields of one pattern: a choice of presets and what it needs. `one` is {pattern}, which they change. */
function patternFields(key, [title, , help], one, draw) {
  one.preset ??= presetOf(one.pattern)[0];
  one.prefix ??= presetOf(one.pattern)[1];
  const settle = () => {
    one.pattern = { all: ".*", nothing: "^$", prefix: `^${escapePattern(one.prefix)}`, pattern: one.pattern }[one.preset];
    draw();
  };
  const options = [["all", "all"], ["nothing", "nothing"], ["prefix", "names that begin with …"], ["pattern", "a regular expression"]];
  const typed = one.preset === "prefix" ? "prefix" : one.preset === "pattern" ? "pattern" : null;
  return h("fieldset", { key }, h("legend", title), h("p.help", help),
    h("div.pair",
      h("select", { "aria-label": `${title}: which names`, value: one.preset, onchange: (event) => { one.preset = event.target.value; settle(); } }, options.map(([value, name]) => h("option", { value, key: value }, name))),
      typed && h("input", { key: typed, class: "mono", spellcheck: "false", autocomplete: "off", "aria-label": `${title}: ${typed === "prefix" ? "beginning of the names" : "regular expression"}`, value: one[typed], oninput: (event) => { one[typed] = event.target.value; settle(); } })),
    h("p.help", h("code", one.pattern || "(empty)"), ` allows ${meaning(one.pattern)}.`));
}

/** A field for a name out of a list, or a fixed one when it is given already. */
function nameField(title, name, given, names, help) {
  if (given !== undefined) return field(title, h("input", { name, value: given, readonly: true }), help);
  const list = `names-of-${name}`;
  return h("div", text(title, name, help, { list, required: name !== "exchange" }), h("datalist", { id: list }, names.map((one) => h("option", { value: one, key: one }))));
}

async function namesOf(address) {
  try {
    return (await get(withQuery(address, { columns: "name,type", page: 1, page_size: 500, disable_stats: true }))).items;
  } catch {
    // Suggestions only: names can be typed.
    return [];
  }
}

/** Asks for permissions and sets them. `known` are those that there are, or the user or virtual host that is fixed. */
async function permissionDialog(view, known) {
  const changes = known.configure !== undefined;
  const [users, vhosts] = changes ? [[], []] : await Promise.all(["/users", "/vhosts"].map(namesOf));
  const patterns = Object.fromEntries(Object.keys(WHAT).map((key) => [key, { pattern: known[key] ?? ".*" }]));
  const chosen = () => Object.fromEntries(Object.entries(patterns).map(([key, { pattern }]) => [key, pattern]));
  await dialog({
    title: changes ? "Change permissions" : "Set permissions",
    button: "Set",
    wide: true,
    content: (draw) => h("div.fields",
      nameField("User", "user", known.user, users.map(({ name }) => name)),
      nameField("Virtual host", "vhost", known.vhost, vhosts.map(({ name }) => name)),
      Object.entries(WHAT).map(([key, what]) => patternFields(key, what, patterns[key], draw)),
      h("p.wide", { role: "status" }, sentence(chosen(), WHAT, known.user), " ", defaultExchange(patterns.write.pattern))),
    action: async ({ elements: { user, vhost } }) => {
      await put(path`/permissions/${vhost.value}/${user.value}`, chosen());
      notify(`The permissions of ${user.value} in ${vhost.value} are set.`);
      view.reload();
    },
  });
}

/** Asks for topic permissions of a user and sets them. */
async function topicDialog(view, known) {
  const changes = known.exchange !== undefined;
  const [vhosts, exchanges] = changes ? [[], []] : await Promise.all(["/vhosts", "/exchanges"].map(namesOf));
  const patterns = Object.fromEntries(Object.keys(TOPIC).map((key) => [key, { pattern: known[key] ?? ".*" }]));
  const chosen = () => Object.fromEntries(Object.entries(patterns).map(([key, { pattern }]) => [key, pattern]));
  await dialog({
    title: changes ? "Change topic permissions" : "Set topic permissions",
    button: "Set",
    wide: true,
    content: (draw) => h("div.fields",
      nameField("Virtual host", "vhost", known.vhost, vhosts.map(({ name }) => name)),
      nameField("Topic exchange", "exchange", known.exchange, exchanges.filter(({ type }) => type === "topic").map(({ name }) => name), "It need not exist yet."),
      Object.entries(TOPIC).map(([key, what]) => patternFields(key, what, patterns[key], draw)),
      h("p.wide", { role: "status" }, sentence(chosen(), TOPIC, known.user))),
    action: async ({ elements: { vhost, exchange } }) => {
      await put(path`/topic-permissions/${vhost.value}/${known.user}`, { exchange: exchange.value, ...chosen() });
      notify(`The topic permissions of ${known.user} are set.`);
      view.reload();
    },
  });
}

async function removePermission(view, { user, vhost }) {
  const question = `Remove the permissions of ${user} in ${vhost}? Clients can no longer connect to it as this user.`;
  if (!(await confirm({ title: "Remove permissions", question, button: "Remove", action: () => remove(path`/permissions/${vhost}/${user}`) }))) return;
  notify(`${user} has no permissions in ${vhost} any more.`);
  view.reload();
}

async function removeTopic(view, { user, vhost, exchange }) {
  const question = `Remove the topic permissions of ${user} on the exchange ${exchange || "amq.default"} in ${vhost}? Without them every routing key is allowed.`;
  if (!(await confirm({ title: "Remove topic permissions", question, button: "Remove", action: () => remove(path`/topic-permissions/${vhost}/${user}/${exchange}`) }))) return;
  notify(`${user} may use every routing key on ${exchange || "amq.default"} again.`);
  view.reload();
}

function buttons(what, change, remove) {
  return h("div.actions", h("button.small", { type: "button", "aria-label": `Change ${what}`, onclick: change }, "Change"), h("button.small.danger", { type: "button", "aria-label": `Remove ${what}`, onclick: remove }, "Remove"));
}

/** A table of permissions with buttons; `without` is the column that the page is about, "user" or "vhost". */
export function permissionTable(view, rows, { without, order, empty } = {}) {
  const names = [
    { title: "User", id: "user", sort: "user", cell: ({ user }) => h("a", { href: `#/users/${encodeURIComponent(user)}` }, user || "(empty name)") },
    { title: "Virtual host", id: "vhost", sort: "vhost", cell: ({ vhost }) => h("a", { href: `#/vhosts/${encodeURIComponent(vhost)}` }, vhost || "(empty name)") },
  ];
  return table({
    label: "Permissions",
    rows, order, empty,
    key: ({ user, vhost }) => JSON.stringify([user, vhost]),
    columns: [
      ...names.filter(({ id }) => id !== without),
      ...Object.entries(WHAT).map(([key, [title, , help]]) => ({ title, help, sort: key, class: "pattern", cell: (row) => patternCell(row[key]) })),
      { title: "Actions", number: true, cell: (row) => buttons(`the permissions of ${row.user} in ${row.vhost}`, () => permissionDialog(view, row), () => removePermission(view, row)) },
    ],
  });
}

/** The section with the permissions of one user or in one virtual host. `fixed` is {user} or {vhost}. */
export function permissionSection(view, rows, fixed) {
  const user = fixed.user !== undefined;
  const empty = user ? "This user may not enter any virtual host: clients cannot connect as this user. Set permissions." : "Nobody may enter this virtual host: no client can connect to it. Set permissions for a user.";
  return h("section", h("h2", "Permissions"),
    permissionTable(view, rows, { without: user ? "user" : "vhost", empty }),
    h("div.buttons.start", h("button", { type: "button", onclick: () => permissionDialog(view, fixed) }, "Set permissions…")));
}

/** The section with the topic permissions of one user. */
export function topicSection(view, rows, user) {
  return h("section", h("h2", "Topic permissions"),
    h("p.help", "Which routing keys the user may use with topic exchanges. On an exchange without an entry every key is allowed, if the permissions allow the exchange."),
    rows.length > 0 && table({
      label: "Topic permissions",
      rows,
      key: ({ vhost, exchange }) => JSON.stringify([vhost, exchange]),
      columns: [
        { title: "Virtual host", cell: ({ vhost }) => h("a", { href: `#/vhosts/${encodeURIComponent(vhost)}` }, vhost) },
        { title: "Exchange", cell: ({ exchange }) => exchange || "amq.default" },
        ...Object.entries(TOPIC).map(([key, [title, , help]]) => ({ title, help, class: "pattern", cell: (row) => patternCell(row[key]) })),
        { title: "Actions", number: true, cell: (row) => buttons(`the topic permissions on ${row.exchange} in ${row.vhost}`, () => topicDialog(view, row), () => removeTopic(view, row)) },
      ],
    }),
    h("div.buttons.start", h("button", { type: "button", onclick: () => topicDialog(view, { user }) }, "Set topic permissions…")));
}

export const routes = [{
  path: "/permissions",
  title: "Permissions",
  interval: 15000,
  load: (view) => view.get("/permissions"),
  render(view) {
    const fallback = { sort: "user", reverse: false };
    const list = localPage(view, view.data, { text: ({ user, vhost }) => `${user} ${vhost}`, fallback });
    const empty = view.query.name ? "No user or virtual host matches the search." : "Nobody has permissions: no client can connect. Set permissions for a user.";
    return [
      searchBar(view, list, "permission", h("button.primary", { type: "button", onclick: () => permissionDialog(view, {}) }, "Set permissions…")),
      h("section", permissionTable(view, list.items, { order: orderOf(view, fallback), empty }), pager(view, list)),
    ];
  },
}];
