// Limits of virtual hosts and of users, with the current use beside them.

import { h } from "../dom.js";
import { forEach, get, path, put, remove, withQuery } from "../api.js";
import { confirm, dialog, notify } from "../dialog.js";
import { choice, text } from "../form.js";
import { count } from "../format.js";
import { localPage, orderOf, pager, searchBar, table } from "../table.js";

/** The limits that there are of each kind of object. */
const KINDS = {
  vhost: {
    noun: "virtual host", address: "/vhost-limits", page: "#/vhosts/",
    limits: {
      "max-connections": ["connections", "Further clients are refused when so many are connected to the virtual host."],
      "max-queues": ["queues", "Declaring a further queue fails when there are so many in the virtual host."],
    },
  },
  user: {
    noun: "user", address: "/user-limits", page: "#/users/",
    limits: {
      "max-connections": ["connections", "Further clients of the user are refused when so many are connected."],
      "max-channels": ["channels", "Opening a further channel fails when the user's connections have so many together."],
    },
  },
};

const value = (limit) => (limit < 0 ? "no limit" : limit === 0 ? "0: none allowed" : count(limit));

/** Asks for a limit and sets it; what `known` has is fixed: {object, limit, value}. */
function setDialog(view, kind, known, names = []) {
  const { noun, address, limits } = KINDS[kind];
  let limit = known.limit ?? Object.keys(limits)[0];
  const list = "names-of-limited";
  return dialog({
    title: known.limit ? `Change ${known.limit}` : `Set a limit of a ${noun}`,
    button: "Set",
    content: (draw) => h("div.fields",
      h("div.wide",
        text(noun === "user" ? "User" : "Virtual host", "object", undefined, { required: true, value: known.object, readonly: known.object !== undefined, list: names.length ? list : undefined }),
        names.length > 0 && h("datalist", { id: list }, names.map((name) => h("option", { value: name, key: name })))),
      choice("Limit", "limit", Object.keys(limits), limits[limit][1], { value: limit, disabled: Boolean(known.limit), onchange: (event) => { limit = event.target.value; draw(); } }),
      text("At most", "value", "0 allows none.", { type: "number", min: 0, step: 1, required: true, value: known.value >= 0 ? known.value : undefined })),
    action: async ({ elements }) => {
      const object = elements.object.value;
      await put(address + path`/${object}/${limit}`, { value: Number(elements.value.value) });
      notify(`${limit} of ${object} is ${elements.value.value} now.`);
      view.reload();
    },
  });
}

async function removeLimit(view, kind, { object, limit, value }) {
  const { address, limits } = KINDS[kind];
  const question = `Remove ${limit} = ${value} of ${object}? The number of ${limits[limit]?.[0] ?? "objects"} is not limited then.`;
  if (!(await confirm({ title: "Remove a limit", question, button: "Remove", action: () => remove(address + path`/${object}/${limit}`) }))) return;
  notify(`${limit} of ${object} is removed.`);
  view.reload();
}

/** Returns a row for each limit of an object: {object, limit, value, used}. */
export function limitRows(kind, object, limits = {}, used = () => undefined) {
  return Object.keys(KINDS[kind].limits).filter((limit) => limits[limit] !== undefined).map((limit) => ({ object, limit, value: limits[limit], used: used(object, limit) }));
}

function used({ used, value }) {
  if (used === undefined) return "–";
  return [count(used), value >= 0 && used >= value && h("span.badge.bad", "reached"), value > 0 && used < value && used >= value * 0.8 && h("span.badge.warn", "nearly reached")].filter(Boolean).flatMap((part) => [part, " "]);
}

/** A table of limits, with buttons for administrators; `named` adds the column with the object. */
export function limitTable(view, kind, rows, { named, order, empty } = {}) {
  const { noun, page } = KINDS[kind];
  const name = { title: noun === "user" ? "User" : "Virtual host", sort: "object", cell: ({ object }) => h("a", { href: page + encodeURIComponent(object) }, object || "(empty name)") };
  const buttons = { title: "Actions", number: true, cell: (row) => h("div.actions",
    h("button.small", { type: "button", "aria-label": `Change ${row.limit} of ${row.object}`, onclick: () => setDialog(view, kind, row) }, "Change"),
    h("button.small.danger", { type: "button", "aria-label": `Remove ${row.limit} of ${row.object}`, onclick: () => removeLimit(view, kind, row) }, "Remove")) };
  return table({
    label: `Limits of ${noun}s`,
    rows, order, empty,
    key: ({ object, limit }) => JSON.stringify([object, limit]),
    columns: [
      named && name,
      { title: "Limit", sort: "limit", cell: ({ limit }) => h("code", limit) },
      { title: "At most", sort: "value", number: true, cell: (row) => value(row.value) },
      { title: "Now", sort: "used", number: true, cell: used },
      view.may() && buttons,
    ].filter(Boolean),
  });
}

/** The section with the limits of one virtual host or user. */
export function limitSection(view, kind, object, rows) {
  return h("section", h("h2", "Limits"),
    limitTable(view, kind, rows, { empty: "There are no limits." }),
    view.may() && h("div.buttons.start", h("button", { type: "button", onclick: () => setDialog(view, kind, { object }) }, "Set a limit…")));
}

/** Returns a function of an object and a limit: how much of it is used, as far as the user may know. */
async function usage(view, kind, objects) {
  const totals = new Map();
  const add = (object, limit, number) => totals.set(JSON.stringify([object, limit]), (totals.get(JSON.stringify([object, limit])) ?? 0) + number);
  for (const object of objects) Object.keys(KINDS[kind].limits).forEach((limit) => add(object, limit, 0));
  // Everybody sees the connections of their own.
  const connections = kind === "user" || view.may("monitoring") ? await view.get("/connections?columns=user,vhost,channels") : null;
  for (const one of connections ?? []) {
    add(one[kind], "max-connections", 1);
    add(one[kind], "max-channels", one.channels ?? 0);
  }
  const unknown = kind === "vhost" ? await forEach(objects, async (object) => {
    const { total_count: queues } = await view.get(withQuery(path`/queues/${object}`, { page: 1, page_size: 1, columns: "name", disable_stats: true }));
    add(object, "max-queues", queues);
  }) : [];
  const hidden = new Set(unknown.map(({ item }) => item));
  return (object, limit) => ((limit === "max-queues" ? hidden.has(object) : !connections) ? undefined : totals.get(JSON.stringify([object, limit])));
}

/** Returns the rows of one object with their use. */
export async function limitsOf(view, kind, object) {
  const found = await view.get(KINDS[kind].address + path`/${object}`);
  const limits = found.find((one) => one[kind] === object)?.value ?? {};
  return limitRows(kind, object, limits, Object.keys(limits).length ? await usage(view, kind, [object]) : undefined);
}

function tabs(view, kind) {
  const link = (to, title) => h("a", { href: view.link({ kind: to, name: undefined, page: undefined }), "aria-current": (to ?? "vhost") === kind ? "true" : undefined }, title);
  return h("nav.choice", { "aria-label": "Limits of" }, link(undefined, "Of virtual hosts"), link("user", view.may() ? "Of users" : "Yours"));
}

const kindOf = (view) => (view.query.kind === "user" ? "user" : "vhost");

async function add(view, kind) {
  let names = [];
  try {
    names = (await get(withQuery(kind === "user" ? "/users" : "/vhosts", { columns: "name", page: 1, page_size: 500 }))).items.map(({ name }) => name);
  } catch {
    // Suggestions only: names can be typed.
  }
  setDialog(view, kind, {}, names);
}

export const routes = [{
  path: "/limits",
  title: "Limits",
  // The use is counted from all connections.
  interval: 15000,
  async load(view) {
    const kind = kindOf(view);
    const own = kind === "user" && !view.may() ? path`/${view.user.name}` : "";
    const found = await view.get(KINDS[kind].address + own);
    const objects = found.map((one) => one[kind]);
    const use = objects.length ? await usage(view, kind, objects.slice(0, 200)) : undefined;
    return { kind, rows: found.flatMap((one) => limitRows(kind, one[kind], one.value, use)) };
  },
  render(view) {
    const { kind, rows } = view.data;
    const fallback = { sort: "object", reverse: false };
    const list = localPage(view, rows, { text: ({ object, limit }) => `${object} ${limit}`, fallback });
    const empty = view.query.name ? "No limit matches the search." : view.may() ? `No ${KINDS[kind].noun} has a limit. Set one to keep a client that runs wild from using up the broker.` : "There are no limits.";
    return [
      tabs(view, kind),
      searchBar(view, list, "limit", view.may() && h("button.primary", { type: "button", onclick: () => add(view, kind) }, "Set a limit…")),
      h("section", limitTable(view, kind, list.items, { named: true, order: orderOf(view, fallback), empty }), pager(view, list)),
    ];
  },
}];
