// One exchange: what goes through it, what it was declared with, its bindings, and a message to publish.

import { h } from "../dom.js";
import { access, lacking, loadAccess } from "../access.js";
import { path, remove, withQuery } from "../api.js";
import { count, plural, rate } from "../format.js";
import { chart, rangeChoice, rates, samplesQuery } from "../chart.js";
import { confirm, notify } from "../dialog.js";
import { exchangeLink } from "../links.js";
import { bindings, loadBindings } from "./exchangebindings.js";
import { routedBy, TYPES } from "./newexchange.js";
import { argumentsOf, facts, policyLink, traceAddress } from "./parts.js";
import { publishForm } from "./publish.js";

/** Whether every virtual host has it, and nobody can delete it. */
export function isSystem({ name }) {
  return name === "" || name.startsWith("amq.");
}

/** What an exchange was declared with, as badges. */
export function features({ durable, auto_delete, internal, arguments: given = {}, messages_delayed }) {
  const badge = (text, title) => [h("span.badge", { title }, text), " "];
  return [
    badge(...(durable ? ["durable", "It is there after a restart."] : ["transient", "It is gone after a restart."])),
    auto_delete && badge("auto-delete", "It is deleted with its last binding."),
    internal && badge("internal", "Clients cannot publish to it."),
    messages_delayed > 0 && badge(`${plural(messages_delayed, "message")} delayed`),
    Object.entries(given).map(([name, value]) => badge(name, `${name}: ${JSON.stringify(value)}`)),
  ];
}

/** Asks, with the number of its bindings, and deletes an exchange. */
export async function deleteExchange(view, { vhost, name }) {
  const bindings = (end) => view.get(`${path`/exchanges/${vhost}/${name}`}/bindings/${end}?columns=routing_key`);
  const counts = await Promise.all(["source", "destination"].map(bindings)).catch(() => null);
  const count = counts?.flat().length;
  return confirm({
    title: "Delete an exchange",
    question: `Delete ${name}${count ? ` and its ${plural(count, "binding")}` : ""}? Whoever publishes to it afterwards loses the channel with 404 NOT_FOUND.`,
    button: "Delete",
    action: () => remove(path`/exchanges/${vhost}/${name}`),
  });
}

/** Returns the definition of the policy that applies, or null if it cannot be seen. */
async function policyOf(view, { vhost, policy }) {
  if (!policy) return null;
  const all = await view.get(`${path`/policies/${vhost}`}?columns=name,definition`).catch(() => []);
  return all.find(({ name }) => name === policy)?.definition ?? null;
}

function alternate(exchange, policy) {
  const own = exchange.arguments?.["alternate-exchange"];
  const name = own ?? policy?.["alternate-exchange"];
  if (name === undefined) return h("span.faint", "none: messages that match no binding are dropped, or returned if they are mandatory");
  return [exchangeLink(exchange.vhost, name), h("span.faint", own === undefined ? ` (by the policy ${exchange.policy})` : " (by its argument)")];
}

/** Says what an operator should know of the figures. */
function notes(exchange) {
  const speed = (key) => exchange.message_stats?.[`${key}_details`]?.rate ?? 0;
  if (exchange.type === "x-delayed-message" || speed("publish_in") === 0 || speed("publish_out") > 0) return null;
  return h("p.notice", { role: "status" }, `${rate(speed("publish_in"))} come in and none reaches a queue: no binding matches. `, h("a", { href: traceAddress(exchange.vhost, exchange.name) }, "Trace a message"), " to see why, or add a binding.");
}

function charts(view, { message_stats: stats }) {
  const series = [["In", "publish_in", 1, "Published to it"], ["Out", "publish_out", 3, "Gone from it to queues"]];
  return h("section", chart({
    title: "Messages a second", unit: "rate", empty: "No message has come here yet.",
    series: series.map(([name, key, color, title]) => ({ name, color, title, points: rates(stats?.[`${key}_details`]) })),
  }));
}

function details(exchange, policy) {
  const { vhost, name, type, policy: policyName, message_stats: stats } = exchange;
  const routing = routedBy(exchange);
  return h("section", h("h2", "Facts"), facts(
    ["Virtual host", vhost],
    ["Type", [type, h("p.help", name === "" ? "Every queue is bound to it by its name: a message goes to the queue that its routing key names." : [TYPES[type]?.does, routing !== type && ` Here: ${routing}. ${TYPES[routing]?.does}`])]],
    ["Features", features({ ...exchange, arguments: {} })],
    ["Arguments", argumentsOf(exchange.arguments)],
    ["Policy", policyLink(vhost, policyName)],
    name !== "" && ["Alternate exchange", alternate(exchange, policy)],
    ["Messages since the start", `${count(stats?.publish_in ?? 0)} in, ${count(stats?.publish_out ?? 0)} out`]),
  h("div.buttons.start",
    h("a.button.plain", { href: traceAddress(vhost, name) }, "Trace a message"),
    h("a.button.plain", { href: withQuery("#/map", { vhost }) }, "Map")));
}

/** What the user may do here; `name` is the one in the address. */
function rights(view) {
  const { vhost, name } = view.params;
  const [own, others] = [access(view, vhost, { exchange: name }), access(view, vhost)];
  const isDefault = name === "amq.default";
  // A binding needs the permission to write to its destination, and to read from its source.
  return { destroy: own.configure, publish: own.write, bindFrom: own.read && others.write && !isDefault, bindTo: own.write && others.read && !isDefault, isDefault };
}

function publishing(view, { vhost, name, internal }) {
  return h("section", h("h2", "Publish a message"), internal
    ? h("p.help", "It is internal: clients cannot publish to it, messages come from exchanges that are bound to it.")
    : publishForm(view, { vhost, exchange: name }));
}

async function askAndDelete(view, exchange) {
  if (!(await deleteExchange(view, exchange))) return;
  notify(`The exchange ${exchange.name} is deleted.`);
  view.go("#/exchanges");
}

export const routes = [{
  path: "/exchanges/:vhost/:name",
  section: "/exchanges",
  title: (view) => (view.params.name === "amq.default" ? "Default exchange" : view.params.name),
  above: () => [["#/exchanges", "Exchanges"]],
  async load(view) {
    const address = path`/exchanges/${view.params.vhost}/${view.params.name}`;
    const { vhost, name } = view.params;
    const rights = [{ exchange: name }, {}].map((what) => loadAccess(view, vhost, what));
    const [exchange] = await Promise.all([view.get(withQuery(address, samplesQuery(view.query.range, ["msg_rates"]))), ...rights]);
    const [policy, bound] = await Promise.all([policyOf(view, exchange), loadBindings(view, exchange)]);
    return { exchange, policy, bound };
  },
  render(view) {
    const { exchange, policy, bound } = view.data;
    const may = rights(view);
    const fixed = isSystem(exchange);
    return [
      lacking([may.publish || exchange.internal, "publish"], [may.bindFrom || may.bindTo || may.isDefault, "change bindings"], [may.destroy || fixed, "delete the exchange"]),
      notes(exchange),
      rangeChoice(view, ["10m", "1h"]),
      h("div.columns", charts(view, exchange), details(exchange, policy)),
      bindings(view, exchange, bound, may),
      (may.publish || exchange.internal) && publishing(view, exchange),
      !fixed && may.destroy && h("div.buttons.start", h("button.danger", { type: "button", onclick: () => askAndDelete(view, exchange) }, "Delete this exchange…")),
    ];
  },
}];
