// Virtual hosts: the list, and one with what happens in it, who may enter it, and what limits it.

import { h } from "../dom.js";
import { ApiError, get, path, put, remove, withQuery } from "../api.js";
import { chart, rangeChoice, samplesQuery } from "../chart.js";
import { dialog, notify } from "../dialog.js";
import { check, choice, text } from "../form.js";
import { count, plural, rate } from "../format.js";
import { loadPage, named, orderOf, pager, searchBar, table } from "../table.js";
import { limitSection, limitsOf } from "./limits.js";
import { messageLevels, messageRates } from "./overview.js";
import { escapePattern, permissionSection } from "./permissions.js";

const TYPES = ["classic", "quorum", "stream"];
const typeOf = ({ default_queue_type: type }) => (TYPES.includes(type) ? type : "classic");

/** Asks for a virtual host's settings, and for its name if it is new. */
function editDialog(view, vhost) {
  return dialog({
    title: vhost ? `Edit ${vhost.name}` : "Add a virtual host",
    button: vhost ? "Save" : "Add",
    wide: true,
    content: h("div.fields",
      !vhost && text("Name", "name", "You get all permissions there.", { required: true }),
      text("Description", "description", "What it is for.", { value: vhost?.description }),
      text("Tags", "tags", "Separated by commas. They mean nothing to the broker.", { value: vhost?.tags?.join(", ") }),
      choice("Default queue type", "type", TYPES, "Of queues that clients declare without x-queue-type from now on.", { value: typeOf(vhost ?? {}) }),
      h("div.wide", check("Protect from deletion", "protect", "Deleting it is refused until the protection is lifted.", { checked: Boolean(vhost?.protected_from_deletion) })),
      h("div.wide", check("Trace messages", "tracing", "Copies of all messages go to the exchange amq.rabbitmq.trace, which costs as much as the messages do.", { checked: Boolean(vhost?.tracing) }))),
    action: async ({ elements: { description, tags, type, protect, tracing, name: typed } }) => {
      const name = vhost?.name ?? typed.value;
      if (!vhost && (await get("/vhosts?columns=name")).some((one) => one.name === name)) throw new Error(`There is a virtual host ${name} already.`);
      await put(path`/vhosts/${name}`, {
        description: description.value, tags: tags.value.split(",").map((tag) => tag.trim()).filter(Boolean),
        default_queue_type: type.value, protected_from_deletion: protect.checked, tracing: tracing.checked,
      });
      notify(vhost ? `${name} is changed.` : `${name} is added. Clients name it in their URI: amqp://${location.hostname}/${encodeURIComponent(name)}`);
      vhost ? view.reload() : view.go(`#/vhosts/${encodeURIComponent(name)}`);
    },
  });
}

const queueCount = async (name, ask = get) => (await ask(withQuery(path`/queues/${name}`, { page: 1, page_size: 1, columns: "name", disable_stats: true }))).total_count;

/** Asks for the name of a virtual host before everything in it goes. */
async function deleteDialog(view, { name }) {
  const [queues, { messages = 0 }, connections] = await Promise.all([
    queueCount(name), get(path`/vhosts/${name}` + "?columns=messages"), get(path`/vhosts/${name}/connections` + "?columns=name"),
  ]);
  const lost = `${plural(queues, "queue")} with ${plural(messages, "message")}`;
  await dialog({
    title: `Delete ${name}?`,
    button: "Delete",
    danger: true,
    content: h("div.fields",
      h("p.wide", `Its ${lost}, its exchanges, bindings, policies, limits and permissions are deleted with it, and cannot be brought back.`, connections.length > 0 && ` ${plural(connections.length, "open connection")} to it will be closed.`),
      text(`Type ${name} to confirm`, "typed", undefined, { required: true })),
    action: async ({ elements: { typed } }) => {
      if (typed.value !== name) throw new Error("This is not the name of the virtual host.");
      await remove(path`/vhosts/${name}`);
      notify(`${name} is deleted, and ${lost} with it.`);
      view.go("#/vhosts");
    },
  });
}

const speed = (vhost, key) => rate(vhost.message_stats?.[`${key}_details`]?.rate ?? 0);

function state({ cluster_state: states = {}, tracing, protected_from_deletion: kept }) {
  const badges = [...new Set(Object.values(states))].map((one) => h(one === "running" ? "span.badge.good" : "span.badge.bad", one));
  if (tracing) badges.push(h("span.badge.warn", { title: "Copies of all messages go to the exchange amq.rabbitmq.trace." }, "traced"));
  if (kept) badges.push(h("span.badge", { title: "Deleting it is refused." }, "protected"));
  return badges.map((badge) => [badge, " "]);
}

const tagBadges = (tags = []) => tags.map((tag) => [h("span.badge", tag), " "]);

const list = {
  path: "/vhosts",
  title: "Virtual hosts",
  load: (view) => loadPage(view, "/vhosts", { columns: [
    "name", "description", "tags", "default_queue_type", "protected_from_deletion", "tracing", "cluster_state", "messages_ready", "messages_unacknowledged",
    "message_stats.publish_details.rate", "message_stats.deliver_get_details.rate",
  ] }),
  render(view) {
    const number = (title, sort, cell) => ({ title, sort, number: true, cell });
    return [
      searchBar(view, view.data, "virtual host", view.may() && h("button.primary", { type: "button", onclick: () => editDialog(view) }, "Add a virtual host…")),
      h("section", table({
        label: "Virtual hosts",
        rows: view.data.items,
        key: ({ name }) => name,
        order: orderOf(view),
        empty: view.query.name ? "No virtual host matches the search." : "You have permissions in no virtual host. Ask an administrator for some.",
        columns: [
          { title: "Name", sort: "name", cell: ({ name }) => named("vhosts", name) },
          { title: "Description", sort: "description", class: "pattern", cell: ({ description, tags }) => [description, " ", tagBadges(tags)] },
          { title: "State", cell: state },
          { title: "Queues are", sort: "default_queue_type", help: "The type of queues that are declared without one", cell: typeOf },
          number("Ready", "messages_ready", (vhost) => count(vhost.messages_ready ?? 0)),
          number("Unacknowledged", "messages_unacknowledged", (vhost) => count(vhost.messages_unacknowledged ?? 0)),
          number("Published", "message_stats.publish_details.rate", (vhost) => speed(vhost, "publish")),
          number("Delivered", "message_stats.deliver_get_details.rate", (vhost) => speed(vhost, "deliver_get")),
        ],
      }), pager(view, view.data)),
    ];
  },
};

/** Only administrators may ask for one; others find it in the list of theirs. */
async function find(view, name) {
  const range = samplesQuery(view.query.range);
  if (view.may()) return view.get(withQuery(path`/vhosts/${name}`, range));
  const { items } = await view.get(withQuery("/vhosts", { ...range, page: 1, name: `^${escapePattern(name)}$`, use_regex: true }));
  if (items.length === 0) throw new ApiError(404, "Not Found");
  return items[0];
}

/** Asks for what may be refused: the tag monitoring shows a virtual host without what is in it. It is not asked for again then. */
async function allowed(view, what, ask) {
  const refused = (view.state.refused ??= new Set());
  if (refused.has(what)) return null;
  try {
    return await ask();
  } catch (error) {
    if (![401, 403, 404].includes(error.status)) throw error;
    refused.add(what);
    return null;
  }
}

function facts(view, { vhost, queues, connections }) {
  const { name } = vhost;
  const link = (page, title) => h("a", { href: `#/${page}?vhost=${encodeURIComponent(name)}` }, title);
  const lift = () => view.act(() => remove(path`/vhosts/${name}/deletion/protection`), `${name} can be deleted now.`);
  return h("section",
    h("dl.facts",
      vhost.description && [h("dt", "Description"), h("dd", vhost.description)],
      vhost.tags?.length > 0 && [h("dt", "Tags"), h("dd", tagBadges(vhost.tags))],
      h("dt", "State"), h("dd", state(vhost)),
      h("dt", "Default queue type"), h("dd", typeOf(vhost)),
      queues !== null && [h("dt", "Queues"), h("dd", link("queues", count(queues)))],
      connections !== null && [h("dt", "Connections"), h("dd", count(connections.length))]),
    view.may() && h("div.buttons.start",
      h("button", { type: "button", onclick: () => editDialog(view, vhost) }, "Edit…"),
      vhost.protected_from_deletion
        ? h("button", { type: "button", onclick: lift }, "Lift the protection from deletion")
        : h("button.danger", { type: "button", onclick: () => deleteDialog(view, vhost).catch((error) => notify(error.message, true)) }, "Delete…")),
    h("p", link("exchanges", "Exchanges"), " · ", link("map", "Map"), " · ", link("policies", "Policies")));
}

const one = {
  path: "/vhosts/:name",
  section: "/vhosts",
  title: ({ params }) => params.name,
  above: () => [["#/vhosts", "Virtual hosts"]],
  async load(view) {
    const { name } = view.params;
    const [vhost, queues, connections, permissions, limits] = await Promise.all([
      find(view, name),
      allowed(view, "queues", () => queueCount(name, view.get)),
      view.may("monitoring") ? allowed(view, "connections", () => view.get(path`/vhosts/${name}/connections` + "?columns=name")) : null,
      view.may() ? view.get(path`/vhosts/${name}/permissions`) : null,
      allowed(view, "limits", () => limitsOf(view, "vhost", name)),
    ]);
    return { vhost, queues, connections, permissions, limits };
  },
  render(view) {
    const { vhost, permissions, limits } = view.data;
    return [
      facts(view, view.data),
      h("h2", "Messages"),
      rangeChoice(view),
      h("div.columns",
        h("section", chart({ title: "Messages a second", heading: 3, unit: "rate", series: messageRates(vhost.message_stats), empty: "Nothing was published here yet." })),
        h("section", chart({ title: "Queued messages", heading: 3, series: messageLevels(vhost) }))),
      permissions && permissionSection(view, "permissions", permissions, { vhost: vhost.name }),
      limits && limitSection(view, "vhost", vhost.name, limits),
    ];
  },
};

export const routes = [list, one];
