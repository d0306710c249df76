// Limits of virtual hosts and of users, with the current use beside them.

import { h } from "../dom.js";
import { forEach, path, put, remove, withQuery } from "../api.js";
import { dialog, notify, sure } from "../dialog.js";
import { choice, text } from "../form.js";
import { count } from "../format.js";
import { actions, localPage, named, orderOf, pager, searchBar, table } from "../table.js";
import { nameField, namesOf } from "./permissions.js";

const KINDS = {
  vhost: {
    title: "Virtual host", address: "/vhost-limits",
    limits: { "max-connections": "Further clients are refused when so many are connected to it.", "max-queues": "Declaring a further queue fails when it has so many." },
  },
  user: {
    title: "User", address: "/user-limits",
    limits: { "max-connections": "Further clients of the user are refused when so many are connected.", "max-channels": "Opening a further channel fails when the user's connections have so many together." },
  },
};

/** Asks for a limit and sets it; what `known` has stays: {object, limit, value}. */
async function setDialog(view, kind, known) {
  const { title, address, limits } = KINDS[kind];
  const names = known.object === undefined ? await namesOf(`${kind}s`) : [];
  let limit = known.limit ?? Object.keys(limits)[0];
  await dialog({
    title: "Set a limit",
    button: "Set",
    content: (draw) => h("div.fields",
      h("div.wide", nameField(title, "object", known.object, names)),
      choice("Limit", "limit", Object.keys(limits), limits[limit], { value: limit, disabled: Boolean(known.limit), onchange: (event) => { limit = event.target.value; draw(); } }),
      text("At most", "value", "0 allows none.", { type: "number", min: 0, step: 1, required: true, value: known.value >= 0 ? known.value : undefined })),
    action: async ({ elements: { object, value } }) => {
      await put(address + path`/${object.value}/${limit}`, { value: Number(value.value) });
      notify(`${limit} of ${object.value} is ${value.value} now.`);
      view.reload();
    },
  });
}

const removeLimit = (view, kind, { object, limit, value }) => sure(view, {
  title: "Remove a limit",
  question: `Remove ${limit} = ${value} of ${object}?`,
  action: () => remove(KINDS[kind].address + path`/${object}/${limit}`),
  done: `${limit} of ${object} is removed.`,
});

function used({ used, value }) {
  const state = used >= value ? h("span.badge.bad", "reached") : used >= value * 0.8 && h("span.badge.warn", "nearly reached");
  return [count(used), " ", value >= 0 && state];
}

function limitTable(view, kind, rows, { own, order, empty }) {
  const { title } = KINDS[kind];
  return table({
    label: "Limits", rows, order, empty,
    key: ({ object, limit }) => JSON.stringify([object, limit]),
    columns: [
      !own && { title, sort: "object", cell: ({ object }) => named(`${kind}s`, object) },
      { title: "Limit", sort: "limit", cell: ({ limit }) => h("code", limit) },
      { title: "At most", sort: "value", number: true, cell: ({ value }) => (value < 0 ? "no limit" : count(value)) },
      { title: "Now", sort: "used", number: true, cell: used },
      view.may() && actions((row) => [
        ["Change", `Change ${row.limit} of ${row.object}`, () => setDialog(view, kind, row)],
        ["Remove", `Remove ${row.limit} of ${row.object}`, () => removeLimit(view, kind, row)],
      ]),
    ].filter(Boolean),
  });
}

/** The section with the limits of one virtual host or user. */
export function limitSection(view, kind, object, rows) {
  return h("section", h("h2", "Limits"),
    limitTable(view, kind, rows, { own: true, empty: "There are no limits." }),
    view.may() && h("div.buttons.start", h("button", { type: "button", onclick: () => setDialog(view, kind, { object }) }, "Set a limit…")));
}

/** Returns a function of an object and a limit: how much of it is used, as far as the user may know. */
async function usage(view, kind, objects) {
  const totals = new Map();
  const key = (object, limit) => JSON.stringify([object, limit]);
  const add = (object, limit, number) => totals.set(key(object, limit), (totals.get(key(object, limit)) ?? 0) + number);
  // Everybody sees the connections of their own.
  if (kind === "user" || view.may("monitoring")) {
    for (const object of objects) ["max-connections", "max-channels"].forEach((limit) => add(object, limit, 0));
    for (const one of await view.get("/connections?columns=user,vhost,channels")) {
      add(one[kind], "max-connections", 1);
      add(one[kind], "max-channels", one.channels ?? 0);
    }
  }
  // What fails is a virtual host without permissions.
  if (kind === "vhost") await forEach(objects, async (object) => add(object, "max-queues", (await view.get(withQuery(path`/queues/${object}`, { page: 1, page_size: 1, columns: "name", disable_stats: true }))).total_count));
  return (object, limit) => totals.get(key(object, limit));
}

/** Returns the rows of the limits that the broker tells, with their use. */
async function rowsOf(view, kind, found) {
  const use = found.length ? await usage(view, kind, found.slice(0, 200).map((one) => one[kind])) : null;
  return found.flatMap((one) => Object.entries(one.value).map(([limit, value]) => ({ object: one[kind], limit, value, used: use(one[kind], limit) })));
}

/** Returns the rows of one object. */
export const limitsOf = async (view, kind, object) => rowsOf(view, kind, (await view.get(KINDS[kind].address + path`/${object}`)).filter((one) => one[kind] === object));

const kindOf = (view) => (view.query.kind === "user" ? "user" : "vhost");

function tabs(view) {
  const link = (kind, title) => h("a", { href: view.link({ kind, name: undefined, page: undefined }), "aria-current": kind === kindOf(view) ? "true" : undefined }, title);
  return h("nav.choice", { "aria-label": "Limits of" }, link("vhost", "Of virtual hosts"), link("user", view.may() ? "Of users" : "Yours"));
}

export const routes = [{
  path: "/limits",
  title: "Limits",
  // The use is counted from all connections.
  interval: 15000,
  async load(view) {
    const kind = kindOf(view);
    if (kind === "user" && !view.may()) return { kind, rows: await limitsOf(view, kind, view.user.name) };
    return { kind, rows: await rowsOf(view, kind, await view.get(KINDS[kind].address)) };
  },
  render(view) {
    const { kind, rows } = view.data;
    const fallback = { sort: "object", reverse: false };
    const list = localPage(view, rows, { text: ({ object, limit }) => `${object} ${limit}`, fallback });
    const none = view.may() ? "There are none. Set one to keep a client that runs wild from using up the broker." : "There are no limits.";
    return [
      tabs(view),
      searchBar(view, list, "limit", view.may() && h("button.primary", { type: "button", onclick: () => setDialog(view, kind, {}) }, "Set a limit…")),
      h("section", limitTable(view, kind, list.items, { order: orderOf(view, fallback), empty: view.query.name ? "No limit matches the search." : none }), pager(view, list)),
    ];
  },
}];
