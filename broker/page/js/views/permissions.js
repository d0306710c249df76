// Permissions: what a user may do in a virtual host, as patterns and in words. The table of all, and sections of other pages.

import { h } from "../dom.js";
import { get, path, put, remove, withQuery } from "../api.js";
import { dialog, notify, sure } from "../dialog.js";
import { text } from "../form.js";
import { actions, localPage, named, orderOf, pager, searchBar, table } from "../table.js";

// Of each kind: whom and what they are for, and the patterns: title, what the user may do with the names, which names.
const KINDS = {
  permissions: {
    keys: ["user", "vhost"],
    patterns: {
      configure: ["Configure", "declare and delete", "Queues and exchanges to declare and delete."],
      write: ["Write", "publish to and bind", "Exchanges to publish to (amq.default is the default exchange) and queues to bind."],
      read: ["Read", "consume from", "Queues to consume, get and purge, and exchanges to bind queues to."],
    },
  },
  "topic permissions": {
    keys: ["user", "vhost", "exchange"],
    patterns: {
      write: ["Publish with", "publish with", "Routing keys to publish with. {username} and {vhost} stand for the names."],
      read: ["Bind with", "bind with", "Routing keys to bind queues with."],
    },
  },
};
const TITLES = { user: "User", vhost: "Virtual host", exchange: "Topic exchange" };
const LITERAL = /^(?:[^\\^$.|?*+()[\]{}]|\\[\W_])*$/;
const PRESETS = [["all", "all"], ["nothing", "nothing"], ["prefix", "names that begin with …"], ["pattern", "a regular expression"]];
const OTHER = "names that match";

/** Returns the regular expression of a text. */
export const escapePattern = (name) => name.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
const unescape = (pattern) => pattern.replace(/\\(.)/g, "$1");

/** Returns which preset a pattern is, and the prefix. */
function presetOf(pattern) {
  if (pattern === "" || pattern === "^$") return ["nothing", ""];
  if (/^\^?(\.\*\$?)?$/.test(pattern)) return ["all", ""];
  const prefix = /^\^(.+?)(?:\.\*\$?)?$/s.exec(pattern)?.[1];
  return prefix && LITERAL.test(prefix) ? ["prefix", unescape(prefix)] : ["pattern", ""];
}

/** Says in words which names a pattern allows. */
function meaning(pattern) {
  const [preset, prefix] = presetOf(pattern);
  if (preset === "prefix") return `names that begin with “${prefix}”`;
  if (preset !== "pattern") return { all: "everything", nothing: "nothing" }[preset];
  const [, several, one] = /^\^(?:\(([^()]+)\)|([^|()]+))\$$/s.exec(pattern) ?? [];
  const exact = (several ?? one)?.split("|");
  if (exact?.every((name) => LITERAL.test(name))) return `only ${exact.map((name) => `“${unescape(name)}”`).join(" and ")}`;
  return LITERAL.test(pattern) ? `names that contain “${unescape(pattern)}”` : `${OTHER} ${pattern}`;
}

function sentence(kind, chosen, user) {
  const parts = Object.entries(KINDS[kind].patterns).map(([key, [, verb]]) => `${verb} ${meaning(chosen[key])}`);
  const said = `${user ?? "The user"} may ${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}.`;
  if (kind !== "permissions" || !["all", "prefix", "nothing"].includes(presetOf(chosen.write)[0]) || new RegExp(chosen.write || "^$").test("amq.default")) return said;
  return `${said} Publishing straight to a queue goes through the default exchange, amq.default, which “Write” does not match.`;
}

/** The fields of one pattern: a choice of presets and what it needs. `one` is {pattern}, which they change. */
function patternFields(key, [title, , help], one, draw) {
  one.preset ??= presetOf(one.pattern)[0];
  one.prefix ??= presetOf(one.pattern)[1];
  const change = (name) => (event) => {
    one[name] = event.target.value;
    if (one.preset !== "pattern") one.pattern = { all: ".*", nothing: "^$", prefix: `^${escapePattern(one.prefix)}` }[one.preset];
    draw();
  };
  const typed = ["prefix", "pattern"].includes(one.preset) && one.preset;
  return h("fieldset", { key }, h("legend", title), h("p.help", help),
    h("div.pair",
      h("select", { "aria-label": `${title}: which names`, value: one.preset, onchange: change("preset") }, PRESETS.map(([value, name]) => h("option", { value, key: value }, name))),
      typed && h("input.mono", { key: typed, spellcheck: "false", autocomplete: "off", "aria-label": `${title}: ${typed === "prefix" ? "beginning of the names" : "regular expression"}`, value: one[typed], oninput: change(typed) })),
    h("p.help", h("code", one.pattern || "(empty)"), ` allows ${meaning(one.pattern)}.`));
}

/** A field for a name, with suggestions, or one that stays as it is given. */
export function nameField(title, name, given, names = []) {
  if (given !== undefined) return text(title, name, undefined, { value: given, readonly: true });
  return h("div", text(title, name, undefined, { list: `names-${name}`, required: true }), h("datalist", { id: `names-${name}` }, names.map((one) => h("option", { value: one, key: one }))));
}

/** Returns names to suggest: of "users", "vhosts" or "exchanges". */
export async function namesOf(list) {
  try {
    const { items } = await get(withQuery(`/${list}`, { columns: "name,type", page: 1, page_size: 500, disable_stats: true }));
    return items.filter(({ type }) => list !== "exchanges" || type === "topic").map(({ name }) => name);
  } catch {
    // They can be typed.
    return [];
  }
}

/** Asks for permissions and sets them; what `known` has stays. */
async function setDialog(view, kind, known) {
  const { keys, patterns } = KINDS[kind];
  const names = await Promise.all(keys.map((key) => (known[key] === undefined ? namesOf(`${key}s`) : [])));
  const drafts = Object.fromEntries(Object.keys(patterns).map((key) => [key, { pattern: known[key] ?? ".*" }]));
  const chosen = () => Object.fromEntries(Object.keys(drafts).map((key) => [key, drafts[key].pattern]));
  await dialog({
    title: `Set ${kind}`,
    button: "Set",
    wide: true,
    content: (draw) => h("div.fields",
      keys.map((key, index) => nameField(TITLES[key], key, known[key], names[index])),
      Object.entries(patterns).map(([key, what]) => patternFields(key, what, drafts[key], draw)),
      h("p.wide", { role: "status" }, sentence(kind, chosen(), known.user))),
    action: async ({ elements: { user, vhost, exchange } }) => {
      await put(path`/${kind.replace(" ", "-")}/${vhost.value}/${user.value}`, { ...chosen(), exchange: exchange?.value });
      notify(`The ${kind} of ${user.value} in ${vhost.value} are set.`);
      view.reload();
    },
  });
}

function removeRow(view, kind, { user, vhost, exchange }) {
  const topic = exchange !== undefined;
  sure(view, {
    title: `Remove ${kind}`,
    question: `Remove the ${kind} of ${user} in ${vhost}? ${topic ? `Every routing key is allowed on ${exchange || "amq.default"} then.` : "Clients can no longer connect to it as this user."}`,
    action: () => remove(path`/${kind.replace(" ", "-")}/${vhost}/${user}` + (topic ? path`/${exchange}` : "")),
    done: `The ${kind} of ${user} in ${vhost} are removed.`,
  });
}

function patternCell(pattern) {
  const words = meaning(pattern);
  return [h("code", pattern || "(empty)"), !words.startsWith(OTHER) && h("div.help", words)];
}

function permissionTable(view, kind, rows, { without, order, empty }) {
  const { keys, patterns } = KINDS[kind];
  const cell = (key) => (row) => (key === "exchange" ? row.exchange || "amq.default" : named(`${key}s`, row[key]));
  return table({
    label: kind, rows, order, empty,
    key: (row) => JSON.stringify(keys.map((key) => row[key])),
    columns: [
      ...keys.filter((key) => key !== without).map((key) => ({ title: TITLES[key], sort: key, cell: cell(key) })),
      ...Object.entries(patterns).map(([key, [title, , help]]) => ({ title, help, sort: key, class: "pattern", cell: (row) => patternCell(row[key]) })),
      actions((row) => [
        ["Change", `Change the ${kind} of ${row.user} in ${row.vhost}`, () => setDialog(view, kind, row)],
        ["Remove", `Remove the ${kind} of ${row.user} in ${row.vhost}`, () => removeRow(view, kind, row)],
      ]),
    ],
  });
}

/** The section with the permissions, or "topic permissions", of one user or virtual host: `fixed` is {user} or {vhost}. */
export function permissionSection(view, kind, rows, fixed) {
  const [without] = Object.keys(fixed);
  const nobody = without === "user" ? "The user may enter no virtual host: clients cannot connect." : "Nobody may enter this virtual host: no client can connect to it.";
  const empty = kind === "permissions" ? `${nobody} Set permissions.` : "The user may use every routing key with the topic exchanges that the permissions allow.";
  return h("section", h("h2", kind === "permissions" ? "Permissions" : "Topic permissions"),
    permissionTable(view, kind, rows, { without, empty }),
    h("div.buttons.start", h("button", { type: "button", onclick: () => setDialog(view, kind, fixed) }, `Set ${kind}…`)));
}

export const routes = [{
  path: "/permissions",
  title: "Permissions",
  interval: 15000,
  load: (view) => view.get("/permissions"),
  render(view) {
    const fallback = { sort: "user", reverse: false };
    const list = localPage(view, view.data, { text: ({ user, vhost }) => `${user} ${vhost}`, fallback });
    const empty = view.query.name ? "No user or virtual host matches the search." : "Nobody has permissions: no client can connect.";
    return [
      searchBar(view, list, "permission", h("button.primary", { type: "button", onclick: () => setDialog(view, "permissions", {}) }, "Set permissions…")),
      h("section", permissionTable(view, "permissions", list.items, { order: orderOf(view, fallback), empty }), pager(view, list)),
    ];
  },
}];
