// What the user may do: which virtual hosts it may enter, and what its permissions allow there.

import { h } from "./dom.js";
import { path, withQuery } from "./api.js";

// In so many virtual hosts a list asks what is allowed; in more of them it offers everything, and the broker refuses.
const FEW = 10;
const ALL = { configure: true, write: true, read: true };
const either = new Intl.ListFormat("en-GB", { type: "disjunction" });

// The tag monitoring shows more virtual hosts than it opens: those that are open have an exchange of this name.
async function entered(view, page = 1) {
  const { items, page_count: pages } = await view.get(withQuery("/exchanges", { page, page_size: 500, name: "^amq\\.direct$", use_regex: true, columns: "vhost", disable_stats: true }));
  return [...items, ...(page < pages ? await entered(view, page + 1) : [])].map(({ vhost, name }) => ({ name: vhost ?? name }));
}

/** Asks once for the names of the virtual hosts that the user may enter: `view.state.vhosts`. */
export async function loadVhosts(view) {
  const ask = () => (view.may("monitoring") && !view.may() ? entered(view) : view.get("/vhosts?columns=name"));
  return (view.state.vhosts ??= (await ask()).map(({ name }) => name));
}

/** The virtual host that a view's query names, or the first. */
export function vhostOf(view) {
  const { vhosts = [] } = view.state;
  return view.query.vhost ?? (vhosts.includes("/") ? "/" : vhosts[0]);
}

/**
 * A choice of the virtual host, or null if there is one only. `all` stands for all of them together, `others` are query
 * parameters that make no sense in another.
 */
export function vhostChoice(view, { all, ...others } = {}) {
  const { vhost } = view.query;
  const names = [...new Set([...(view.state.vhosts ?? []), ...(vhost === undefined ? [] : [vhost])])];
  if (names.length < 2) return null;
  return h("select", { "aria-label": "Virtual host", title: "Virtual host", value: all ? (vhost ?? "") : vhostOf(view), onchange: (event) => view.go(view.link({ ...others, page: undefined, vhost: event.target.value || undefined })) },
    all && h("option", { value: "" }, all), names.map((name) => h("option", { value: name, key: name }, name)));
}

/** Why there is nothing to see: in the virtual host of the query, or in all. */
export function noPermissions({ query: { vhost }, state: { vhosts = [] } }) {
  const where = vhosts.length > 0 && vhost !== undefined ? `${vhost}, or it does not exist` : "any virtual host";
  return h("p", `You have no permissions in ${where}: an administrator grants them on the page of your user.`);
}

const addressOf = (vhost, what) => `${path`/access/${vhost}`}?${new URLSearchParams(what)}`;

/** Asks once what the user may do in a virtual host: at all, or with {queue: name} or {exchange: name}. */
export async function loadAccess(view, vhost, what = {}) {
  const known = (view.state.access ??= {});
  const address = addressOf(vhost, what);
  known[address] ??= await view.get(address).catch((error) => {
    // There is nothing there to be refused.
    if (error.status === 404) return ALL;
    throw error;
  });
}

/** Asks once what the user may do in the virtual hosts that a list shows. */
export async function loadAccesses(view) {
  const { vhost } = view.query;
  const [vhosts] = await Promise.all([loadVhosts(view), vhost !== undefined && loadAccess(view, vhost)]);
  if (vhost === undefined && vhosts.length <= FEW) await Promise.all(vhosts.map((name) => loadAccess(view, name)));
}

/** What was answered: {configure, write, read}. */
export function access(view, vhost, what = {}) {
  return view.state.access?.[addressOf(vhost, what)] ?? ALL;
}

/** The virtual hosts of a list in which the user may configure, write or read something. */
export function vhostsWith(view, right) {
  const { vhosts = [] } = view.state;
  return vhosts.filter((name) => (view.query.vhost ?? name) === name && access(view, name)[right]);
}

/** A sentence on what is not offered, of pairs of whether it is allowed and what it is; nothing if all is. */
export function lacking(...pairs) {
  const missing = pairs.filter(([allowed]) => !allowed).map(([, what]) => what);
  return missing.length > 0 && h("p.faint", `Your permissions do not let you ${either.format(missing)} here.`);
}
