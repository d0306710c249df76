// Users: who they are, what their tags mean, their passwords, and what they may do.

import { h } from "../dom.js";
import { get, path, put, remove, withQuery } from "../api.js";
import { dialog, notify, sure } from "../dialog.js";
import { check, choice, text } from "../form.js";
import { plural } from "../format.js";
import { actions, loadPage, named, orderOf, pager, searchBar, table } from "../table.js";
import { escapePattern, permissionSection } from "./permissions.js";
import { limitSection, limitsOf } from "./limits.js";

const TAGS = {
  administrator: "May do everything here: users, virtual hosts, permissions, limits, and close anybody's connections.",
  monitoring: "Sees the connections and channels of all users, and the node. For monitoring systems.",
  policymaker: "Sets policies and parameters in the virtual hosts where the user has permissions.",
  management: "Signs in here and sees the virtual hosts where the user has permissions, and the user's own connections.",
};
const ALGORITHMS = ["rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512", "leveret_password_hashing_argon2id", "rabbit_password_hashing_md5"];

/** The fields of a password; `chosen` is {kind}, which they change. */
function passwordFields(chosen, draw) {
  const kinds = [["password", "a password"], ["none", "none: no login with a password"], ["hash", "a ready hash"]];
  const password = (label, name) => text(label, name, undefined, { type: "password", required: true, autocomplete: "new-password", key: name });
  return [
    h("div.wide", choice("Password", "kind", kinds, chosen.kind === "none" && "A client certificate is still good for a login, if the broker accepts that.", { value: chosen.kind, onchange: (event) => { chosen.kind = event.target.value; draw(); } })),
    chosen.kind === "password" && [password("New password", "password"), password("Once more", "again")],
    chosen.kind === "hash" && [
      text("Hash", "password_hash", "As another broker or “leveretctl hash_password” gives it.", { required: true }),
      choice("Algorithm", "hashing_algorithm", ALGORITHMS),
    ],
  ];
}

/** Returns what the broker is to store as a password. */
function passwordOf({ elements }, { kind }) {
  if (kind === "none") return { password_hash: "" };
  if (kind === "hash") return { password_hash: elements.password_hash.value.trim(), hashing_algorithm: elements.hashing_algorithm.value };
  if (elements.password.value !== elements.again.value) throw new Error("The two passwords differ. Type the same one twice.");
  return { password: elements.password.value };
}

function tagFields(tags) {
  return h("fieldset", h("legend", "Tags"), h("p.help", "What the user may do here and over the HTTP API. Without a tag the user can only use AMQP."),
    Object.entries(TAGS).map(([tag, help]) => check(tag, `tag-${tag}`, help, { checked: tags.includes(tag) })),
    text("Others", "tags", "Separated by commas. They mean nothing to the broker.", { value: tags.filter((tag) => !(tag in TAGS)).join(", ") }));
}

function tagsOf({ elements }) {
  const others = elements.tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
  return [...Object.keys(TAGS).filter((tag) => elements[`tag-${tag}`].checked), ...others];
}

async function addDialog(view) {
  const chosen = { kind: "password" };
  await dialog({
    title: "Add a user",
    button: "Add",
    wide: true,
    content: (draw) => h("div.fields", h("div.wide", text("Name", "name", undefined, { required: true })), passwordFields(chosen, draw), tagFields([])),
    action: async (form) => {
      const name = form.elements.name.value;
      const { items } = await get(withQuery("/users", { page: 1, columns: "name", name: `^${escapePattern(name)}$`, use_regex: true }));
      if (items.length) throw new Error(`There is a user ${name} already.`);
      await put(path`/users/${name}`, { ...passwordOf(form, chosen), tags: tagsOf(form) });
      notify(`${name} is added. Now set permissions, so that the user can connect to a virtual host.`);
      view.go(`#/users/${encodeURIComponent(name)}`);
    },
  });
}

/** Changes what a request replaces as a whole: `body` gets the form and returns it. */
function changeDialog(view, { name }, what, content, body) {
  return dialog({
    title: `${what} of ${name}`,
    button: "Change",
    content,
    action: async (form) => {
      await put(path`/users/${name}`, await body(form));
      notify(`${what} of ${name} changed.`);
      view.reload();
    },
  });
}

function passwordDialog(view, user) {
  const chosen = { kind: "password" };
  const own = user.name === view.user.name && h("p.notice.wide", "This is your own password: you will have to sign in again.");
  // The name is for password managers.
  const content = (draw) => h("div.fields", h("input", { name: "username", value: user.name, autocomplete: "username", hidden: true }), passwordFields(chosen, draw), own);
  return changeDialog(view, user, "Password", content, (form) => ({ ...passwordOf(form, chosen), tags: user.tags }));
}

function tagsDialog(view, user) {
  return changeDialog(view, user, "Tags", h("div.fields", tagFields(user.tags)), async (form) => {
    // The password stays if its hash is sent back.
    const { password_hash, hashing_algorithm } = await get(path`/users/${user.name}`);
    return { password_hash, hashing_algorithm, tags: tagsOf(form) };
  });
}

async function deleteUser(view, name) {
  const connections = await get(path`/connections/username/${name}` + "?columns=name").catch(() => []);
  const open = connections.length > 0 && ` Closes ${plural(connections.length, "open connection")}.`;
  const self = name === view.user.name && " You are signed in as this user.";
  await sure(view, {
    title: "Delete a user",
    question: [`Delete ${name} with all permissions and limits?`, open, self],
    button: "Delete",
    action: () => remove(path`/users/${name}`),
    done: `${name} is deleted.`,
    to: view.params.name !== undefined && "#/users",
  });
}

const badges = (tags) => (tags.length ? tags.map((tag) => [h("span.badge", { title: TAGS[tag] }, tag), " "]) : h("span.faint", "none"));

function vhostLinks(vhosts) {
  if (!vhosts.length) return h("span.badge.warn", { title: "No permissions in any virtual host: clients cannot connect." }, "nowhere");
  return [vhosts.slice(0, 5).map((vhost, index) => [index > 0 && ", ", named("vhosts", vhost)]), vhosts.length > 5 && ` and ${vhosts.length - 5} more`];
}

function limitsText(limits) {
  const parts = Object.entries(limits ?? {}).filter(([, value]) => value >= 0).map(([name, value]) => `${value} ${name.replace("max-", "")}`);
  return parts.length ? `at most ${parts.join(", ")}` : h("span.faint", "none");
}

const tagsExplained = () => h("details", h("summary", "What tags mean"), h("dl.facts", Object.entries({ ...TAGS, none: "Only AMQP: the user cannot sign in here." }).map(([tag, help]) => [h("dt", tag), h("dd", help)])));

const list = {
  path: "/users",
  title: "Users",
  // Permissions come as one list.
  interval: 15000,
  async load(view) {
    const columns = ["name", "tags", "password_hash", "limits"];
    const [users, permissions] = await Promise.all([loadPage(view, "/users", { columns }), view.get("/permissions?columns=user,vhost")]);
    const vhosts = new Map(users.items.map(({ name }) => [name, []]));
    for (const { user, vhost } of permissions) vhosts.get(user)?.push(vhost);
    return { users, vhosts };
  },
  render(view) {
    const { users, vhosts } = view.data;
    return [
      searchBar(view, users, "user", h("button.primary", { type: "button", onclick: () => addDialog(view) }, "Add a user…")),
      h("section", table({
        label: "Users",
        rows: users.items,
        key: ({ name }) => name,
        order: orderOf(view),
        empty: "No user matches the search.",
        columns: [
          { title: "Name", sort: "name", cell: ({ name }) => named("users", name) },
          { title: "Tags", cell: ({ tags }) => badges(tags) },
          { title: "May enter", cell: ({ name }) => vhostLinks(vhosts.get(name)), help: "The virtual hosts in which the user has permissions" },
          { title: "Password", cell: (user) => (user.password_hash ? "set" : h("span.badge.warn", "none")) },
          { title: "Limits", cell: ({ limits }) => limitsText(limits) },
          actions((user) => [
            ["Password", `Change the password of ${user.name}`, () => passwordDialog(view, user)],
            ["Delete", `Delete ${user.name}`, () => deleteUser(view, user.name)],
          ]),
        ],
      }), pager(view, users)),
      tagsExplained(),
    ];
  },
};

const one = {
  path: "/users/:name",
  section: "/users",
  title: ({ params }) => params.name,
  above: () => [["#/users", "Users"]],
  async load(view) {
    const { name } = view.params;
    const [user, permissions, topics, limits, connections] = await Promise.all([
      view.get(path`/users/${name}`), view.get(path`/users/${name}/permissions`), view.get(path`/users/${name}/topic-permissions`),
      limitsOf(view, "user", name), view.get(path`/connections/username/${name}` + "?columns=channels"),
    ]);
    return { user, permissions, topics, limits, connections };
  },
  render(view) {
    const { user, permissions, topics, limits, connections } = view.data;
    const channels = connections.reduce((sum, one) => sum + (one.channels ?? 0), 0);
    return [
      h("section",
        h("dl.facts",
          h("dt", "Tags"), h("dd", badges(user.tags)),
          h("dt", "Password"), h("dd", user.password_hash ? ["set, stored as ", h("span.mono", user.hashing_algorithm)] : "none: no login with a password"),
          h("dt", "Now"), h("dd", `${plural(connections.length, "connection")} with ${plural(channels, "channel")}`)),
        h("div.buttons.start",
          h("button", { type: "button", onclick: () => tagsDialog(view, user) }, "Change tags…"),
          h("button", { type: "button", onclick: () => passwordDialog(view, user) }, "Change password…"),
          h("button.danger", { type: "button", onclick: () => deleteUser(view, user.name) }, "Delete…")),
        tagsExplained()),
      permissionSection(view, "permissions", permissions, { user: user.name }),
      permissionSection(view, "topic permissions", topics, { user: user.name }),
      limitSection(view, "user", user.name, limits),
    ];
  },
};

export const routes = [list, one];
