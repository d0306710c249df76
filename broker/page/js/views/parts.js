// Pieces that the pages of clients, exchanges and streams share: arguments, facts, times, and links to other subjects.

import { h } from "../dom.js";
import { withQuery } from "../api.js";
import { absolute, duration } from "../format.js";
import { parseValue } from "../form.js";

/** The address of the trace of a message. */
export function traceAddress(vhost, exchange, key, headers) {
  return withQuery("#/trace", { vhost, exchange, routing_key: key, headers: headers && JSON.stringify(headers) });
}

/** A link to a policy in the list of its virtual host, with `kind` "operator" to one of those; nothing if there is no policy. */
export function policyLink(vhost, name, kind) {
  return name && h("a", { href: withQuery("#/policies", { kind, vhost, name }), "aria-label": `${kind ? "Operator policy" : "Policy"} ${name}`, dir: "auto" }, name);
}

/** Writes the value of an argument as a person types it: a text that looks like something else has quotes. */
export function written(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  try {
    return parseValue(value) === value ? value : JSON.stringify(value);
  } catch {
    return JSON.stringify(value);
  }
}

/** A table of arguments, headers or properties, one under the other; `none` stands for an empty one. */
export function argumentsOf(table, none = null) {
  const entries = Object.entries(table ?? {});
  if (entries.length === 0) return none;
  const shown = (value) => (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length ? argumentsOf(value) : h("code", written(value)));
  return h("ul.table", entries.map(([name, value]) => h("li", { key: name }, h("span.faint", `${name}: `), shown(value))));
}

// So many connections are asked for their names; more are not looked through by eye.
const NAMED = 20;

/** What a client calls its connection. */
export function clientName({ user_provided_name: own, client_properties: client } = {}) {
  return own ?? client?.connection_name;
}

/** Returns what the clients call these connections, by the connections' names; what is known already is not asked for again. */
export async function loadClientNames(view, connections) {
  const known = (view.state.clients ??= {});
  const asked = [...new Set(connections)].filter((name) => name && !(name in known)).slice(0, NAMED);
  await Promise.all(asked.map(async (name) => {
    try {
      // From the list, which is merely empty if it has ended, or is somebody else's.
      const { items } = await view.get(withQuery("/connections", { page: 1, page_size: 1, name, columns: "user_provided_name,client_properties.connection_name" }));
      known[name] = clientName(items[0]) ?? null;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      // Without its name, then.
    }
  }));
  return known;
}

/** What differs between a declaration and what exists, if that is why it was refused. */
export function otherSettings(message) {
  const [, key, asked, current] = /inequivalent arg '(.*?)' for .*: received (.*) but current is (.*)$/s.exec(message) ?? [];
  return key && `${key} is ${current.replace(/^none$/, "not set").replace(/^the value /, "")} there, and ${asked.replace(/^none$/, "not set").replace(/^the value /, "")} here`;
}

/** How long ago, with the date and time in a title. */
export function since(milliseconds) {
  if (!Number.isFinite(milliseconds)) return "–";
  return h("time", { datetime: new Date(milliseconds).toISOString(), title: absolute(milliseconds) }, duration(Date.now() - milliseconds));
}

/** Names and what is known of them, without what is not: pairs of a title and a description. */
export function facts(...pairs) {
  const known = pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== "" && pair[1] !== false);
  return h("dl.facts", known.map(([name, value]) => [h("dt", { key: `${name}:` }, name), h("dd", { key: name }, value)]));
}
