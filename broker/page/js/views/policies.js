// Policies: the list, and the form of one, which says which objects the pattern matches before anything is saved.

import { h } from "../dom.js";
import { ARGUMENTS, readArgument } from "../arguments.js";
import { ApiError, get, path, put, remove, withQuery } from "../api.js";
import { notify, sure } from "../dialog.js";
import { choice, field, parseValue, text } from "../form.js";
import { bytes, count, duration, plural } from "../format.js";
import { exchangeLink, queueLink } from "../links.js";
import { actions, localPage, named, orderOf, pager, searchBar, table } from "../table.js";

const APPLY_TO = [["all", "queues and exchanges"], ["queues", "queues"], ["classic_queues", "classic queues"], ["quorum_queues", "quorum queues"], ["streams", "streams"], ["exchanges", "exchanges"]];
// The types of queues by their first letters, as the arguments name them.
const TYPES = { c: "classic queues", q: "quorum queues", s: "streams" };
// What operator policies may have.
const OPERATOR = ["max-length", "max-length-bytes", "overflow", "message-ttl", "expires", "delivery-limit", "delayed-retry-type", "delayed-retry-min", "delayed-retry-max"];
const ALTERNATE = { title: "Alternate exchange", types: "cqs", kind: "text", help: "Where messages go that no binding of the exchange matches." };
// The settings by their keys: the arguments of queues, but for those that have no effect here.
const SETTINGS = new Map([...ARGUMENTS.filter(({ declared, group }) => !declared && group !== "Without effect here").map((argument) => [argument.key.slice(2), argument]), ["alternate-exchange", ALTERNATE]]);
const HINTS = { time: "milliseconds, or 30s, 5m, 2h", size: "bytes, or 10M, 2G", number: "a number" };

const kindOf = (view) => (view.query.kind === "operator" ? "operator" : "user");
const address = (kind) => (kind === "operator" ? "/operator-policies" : "/policies");
const mayChange = (view) => view.may(kindOf(view) === "user" && "policymaker");
const titleOf = (target) => APPLY_TO.find(([value]) => value === target)?.[1] ?? target;
/** The address of one of this page's views, for the same kind of policies. */
const link = (view, rest = "", query = {}) => withQuery(`#/policies${rest}`, { kind: view.query.kind, ...query });

/** A value of a definition with its unit. */
function readable(key, value) {
  const written = Number.isFinite(value) ? count(value) : typeof value === "string" ? value || "(empty)" : JSON.stringify(value);
  const { kind } = SETTINGS.get(key) ?? {};
  if (kind === "time") return value >= 1000 ? `${written} ms (${duration(value)})` : `${written} ms`;
  return kind === "size" ? `${written} bytes (${bytes(value)})` : written;
}

/** Reads what was typed for a setting; throws what is wrong with it. */
function read({ key, value }) {
  const setting = SETTINGS.get(key);
  if (!setting) return parseValue(value);
  // A text may be empty: that is the name of the default exchange.
  return setting.kind === "text" ? value : readArgument({ ...setting, title: key }, value);
}

const removePolicy = (view, { vhost, name }) => sure(view, {
  title: `Delete ${name}`,
  question: `Delete the policy ${name} of ${vhost}? What it applies to gets the next one that matches, or none, at once.`,
  button: "Delete",
  action: () => remove(address(kindOf(view)) + path`/${vhost}/${name}`),
  done: `${name} is deleted.`,
  to: view.route !== list && link(view),
});

function tabs(view) {
  const tab = (kind, title) => h("a", { href: view.link({ kind, page: undefined }), "aria-current": (kind ?? "user") === kindOf(view) ? "true" : undefined }, title);
  return h("nav.choice", { "aria-label": "Kind of policies" }, tab(undefined, "Policies"), tab("operator", "Operator policies"));
}

function vhostFilter(view) {
  const { vhost } = view.query;
  const vhosts = [...new Set([...view.data.map((policy) => policy.vhost), ...(vhost === undefined ? [] : [vhost])])].sort();
  if (vhosts.length < 2 && vhost === undefined) return null;
  // The sign tells a virtual host without a name from none.
  return h("select", { "aria-label": "Virtual host", value: vhost === undefined ? "" : `=${vhost}`, onchange: (event) => view.go(view.link({ vhost: event.target.value.slice(1) || undefined, page: undefined })) },
    h("option", { value: "" }, "all virtual hosts"), vhosts.map((name) => h("option", { value: `=${name}`, key: name }, name)));
}

function policyTable(view, rows, empty, order) {
  return table({
    label: "Policies", rows, order, empty,
    key: ({ vhost, name }) => JSON.stringify([vhost, name]),
    columns: [
      { title: "Name", sort: "name", cell: ({ vhost, name }) => h("a", { href: link(view, path`/${vhost}/${name}`) }, name || "(empty name)") },
      { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => named("vhosts", vhost) },
      { title: "Pattern", sort: "pattern", class: "pattern", cell: ({ pattern }) => h("code", pattern || "(empty: every name)") },
      { title: "Applies to", sort: "apply-to", cell: (policy) => titleOf(policy["apply-to"]) },
      { title: "Priority", sort: "priority", number: true, help: "Where several match, the highest applies", cell: ({ priority }) => count(priority) },
      { title: "Definition", class: "pattern", cell: ({ definition }) => Object.entries(definition).map(([key, value]) => h("div", { key }, h("code", key), ": ", readable(key, value))) },
      mayChange(view) && actions((policy) => [["Delete", `Delete ${policy.name}`, () => removePolicy(view, policy)]]),
    ].filter(Boolean),
  });
}

const list = {
  path: "/policies",
  title: "Policies",
  load: (view) => view.get(address(kindOf(view))),
  render(view) {
    const { vhost } = view.query;
    const found = localPage(view, view.data, { text: ({ name, pattern }) => `${name} ${pattern}`, keep: (policy) => vhost === undefined || policy.vhost === vhost });
    const none = kindOf(view) === "operator" ? "There are none. Operator policies limit what users' policies and arguments may ask for." : "There are none. A policy sets what queues and exchanges do, by their names, at any time: say max-length for all that begin with “jobs.”.";
    return [
      tabs(view),
      searchBar(view, found, "policy", vhostFilter(view), mayChange(view) && h("a.button.primary", { href: link(view, "/add", { vhost }) }, "Add a policy")),
      h("section", policyTable(view, found.items, view.data.length ? "No policy matches the search." : none, orderOf(view)), pager(view, found)),
      h("p.help", "At most one policy and one operator policy apply to a queue or exchange: the matching one with the highest priority. Where both set the same limit, the stricter one holds."),
    ];
  },
};

/** Asks which objects the draft would match, a moment after the last change. */
function match(view) {
  const { state } = view;
  clearTimeout(state.matching);
  state.matching = setTimeout(async () => {
    const { vhost, pattern, target, priority, name } = state.draft;
    const query = new URLSearchParams({ pattern, "apply-to": target, priority: priority || 0, name, operator: kindOf(view) === "operator" });
    const asked = (state.asked = {});
    let answer;
    try {
      answer = { found: await get(path`/policy-matches/${vhost}` + `?${query}`) };
    } catch (error) {
      answer = { error };
    }
    if (state.asked !== asked) return;
    state.matches = answer;
    view.redraw();
  }, 250);
}

function names(noun, vhost, all, total) {
  const shown = all.slice(0, 20);
  const link = noun === "queue" ? queueLink : exchangeLink;
  return h("p", shown.map((name, index) => [index > 0 && ", ", h("bdi", link(vhost, name))]), total > shown.length && ` and ${count(total - shown.length)} more`);
}

function matched(noun, vhost, { total, names: all, overridden, overridden_total: lost }) {
  const others = [...new Set(overridden.map(({ policy }) => policy))].join(", ");
  return h("div", { key: noun },
    h("h3", total ? plural(total, noun) : `No ${noun}`),
    total > 0 && names(noun, vhost, all, total),
    lost > 0 && [
      h("p.notice", `${count(lost)} of these ${lost === 1 ? "keeps" : "keep"} another policy, which comes first: ${others}. Raise the priority to win over it.`),
      names(noun, vhost, overridden.map(({ name }) => name), lost),
    ]);
}

/** Which other policies this one wins over, and which ones over it, where both match. */
function precedence({ policies, draft }) {
  const mine = Number(draft.priority) || 0;
  const others = policies.filter(({ vhost, name }) => vhost === draft.vhost && name !== draft.name);
  // Of equal priorities the first by name applies.
  const wins = ({ name, priority }) => priority > mine || (priority === mine && name < draft.name);
  const written = (all) => all.slice(0, 5).map(({ name }) => name).join(", ") + (all.length > 5 ? ` and ${count(all.length - 5)} more` : "");
  const [above, below] = [others.filter(wins), others.filter((other) => !wins(other))];
  return [
    below.length > 0 && h("p.help", `Where both match, it applies instead of ${written(below)}.`),
    above.length > 0 && h("p.help", `It does not apply where one of these matches: ${written(above)}.`),
  ];
}

// Which types of queues a setting keeps the policy from; delayed retry is of no use in streams, but does not.
function against(key) {
  const { types = "cqs" } = SETTINGS.get(key) ?? {};
  return key.startsWith("delayed-retry") ? [] : Object.keys(TYPES).filter((type) => !types.includes(type)).map((type) => TYPES[type]);
}

/** Which queues the settings keep the policy from, as a whole. */
function unsuited({ settings, target }) {
  const wide = ["all", "queues"].includes(target);
  const found = settings.map(({ key }) => [key, against(key).filter((type) => wide || type === titleOf(target))]).filter(([, types]) => types.length);
  const types = [...new Set(found.flatMap(([, types]) => types))];
  return types.length > 0 && h("p.notice", `It does not apply to ${types.join(", ")}, because of ${found.map(([key]) => key).join(", ")}: the next policy that matches does.`);
}

function result({ draft, matches }) {
  if (!matches) return h("p.help", "Asking the broker…");
  const { error, found } = matches;
  if (error?.status === 404) return h("p.help", "You have no permissions in the virtual host, so the broker does not say what would match.");
  if (error) return h("p.error", error.status === 400 ? `The broker cannot use this: ${error.message}` : error.message);
  return [draft.target !== "exchanges" && matched("queue", draft.vhost, found.queues), ["all", "exchanges"].includes(draft.target) && matched("exchange", draft.vhost, found.exchanges)];
}

// What a number with a unit amounts to.
function amount(setting) {
  if (!["time", "size"].includes(SETTINGS.get(setting.key)?.kind) || setting.value === "") return "";
  try {
    return ` ${readable(setting.key, read(setting))}.`;
  } catch {
    return "";
  }
}

/** The control of one setting, by its kind. */
function valueField(view, setting) {
  const { key } = setting;
  const { kind = "text", help = "" } = SETTINGS.get(key) ?? {};
  const { settings } = view.state.draft;
  const change = (event) => { setting.value = event.target.value; view.redraw(); };
  const control = Array.isArray(kind)
    ? h("select", { name: key, value: setting.value, onchange: change }, kind.map((value) => h("option", { value, key: value }, value)))
    : h("input", { type: "text", name: key, required: kind !== "text", placeholder: key === "dead-letter-exchange" ? "the default exchange" : HINTS[kind], spellcheck: "false", autocomplete: "off", value: setting.value, oninput: change });
  return h("div.setting", { key },
    field(h("code", key), control, help + amount(setting)),
    h("button.small", { type: "button", "aria-label": `Remove ${key}`, onclick: () => { settings.splice(settings.indexOf(setting), 1); view.redraw(); } }, "Remove"));
}

function settingsFields(view) {
  const { draft } = view.state;
  const left = [...SETTINGS].filter(([key]) => (kindOf(view) === "user" || OPERATOR.includes(key)) && !draft.settings.some((one) => one.key === key));
  const add = (event) => {
    const key = event.target.value;
    const { kind } = SETTINGS.get(key);
    draft.settings.push({ key, value: Array.isArray(kind) ? kind[0] : "" });
    draft.failure = undefined;
    event.target.value = "";
    view.redraw();
    document.getElementById(`field-${key}`)?.focus();
  };
  return h("fieldset", h("legend", "Definition"),
    draft.settings.map((setting) => valueField(view, setting)),
    field("Add a setting", h("select", { name: "add", value: "", onchange: add }, h("option", { value: "" }, "choose…"), left.map(([key, { title }]) => h("option", { value: key, key }, `${key}: ${title}`)))));
}

async function save(event, view) {
  event.preventDefault();
  const { draft } = view.state;
  const { vhost, name, pattern, target, settings } = draft;
  try {
    if (settings.length === 0) throw new Error("Add a setting: a policy without one does nothing.");
    if (view.route === add && view.data.policies.some((one) => one.vhost === vhost && one.name === name)) throw new Error(`There is a policy ${name} in ${vhost} already.`);
    const definition = Object.fromEntries(settings.map((setting) => [setting.key, read(setting)]));
    await put(address(kindOf(view)) + path`/${vhost}/${name}`, { pattern, "apply-to": target, priority: Number(draft.priority) || 0, definition });
  } catch (error) {
    // A refusal has the reason below a heading.
    draft.failure = error.message.replace(/^Validation failed\s+/, "").trim();
    return view.redraw();
  }
  notify(`${name} is saved and in force.`);
  view.go(link(view));
}

function form(view) {
  const { draft } = view.state;
  const fresh = view.route === add;
  const change = (name) => (event) => {
    draft[name] = event.target.value;
    match(view);
    view.redraw();
  };
  return h("div.columns",
    h("section", h("form.fields", { onsubmit: (event) => save(event, view) },
      choice("Virtual host", "vhost", fresh ? view.data.vhosts : [draft.vhost], undefined, { value: draft.vhost, onchange: change("vhost") }),
      text("Name", "name", undefined, { value: draft.name, required: true, readonly: !fresh, oninput: change("name") }),
      h("div.wide", text("Pattern", "pattern", "A regular expression, found anywhere in a name: ^jobs\\. is what begins with “jobs.”, an empty one is every name.", { value: draft.pattern, class: "mono", oninput: change("pattern") })),
      choice("Applies to", "target", APPLY_TO, undefined, { value: draft.target, onchange: change("target") }),
      text("Priority", "priority", "Where several match, the highest applies.", { type: "number", step: 1, value: draft.priority, oninput: change("priority") }),
      settingsFields(view),
      draft.failure && h("p.error", { role: "alert" }, draft.failure),
      h("div.buttons", h("a.button", { href: link(view) }, "Cancel"),
        !fresh && h("button.danger", { type: "button", onclick: () => removePolicy(view, draft) }, "Delete…"),
        h("button.primary", { type: "submit" }, "Save")))),
    h("section.matches", { role: "status", "aria-label": "Objects that match" }, h("h2", "What it matches now"), result(view.state), unsuited(draft), precedence({ policies: view.data.policies, draft })));
}

function draftOf({ vhost, name, pattern, priority, definition, "apply-to": target }) {
  const settings = Object.entries(definition).map(([key, value]) => ({ key, value: typeof value === "string" ? value : JSON.stringify(value) }));
  return { vhost, name, pattern, target, priority: String(priority), settings };
}

/** Loads what the form needs; what was typed stays, whatever the broker says since. */
async function loadForm(view) {
  const { vhost, name } = view.params;
  const [policies, found] = await Promise.all([view.get(address(kindOf(view))), view.get("/vhosts?columns=name")]);
  const policy = policies.find((one) => one.vhost === vhost && one.name === name);
  if (name !== undefined && !policy) throw new ApiError(404, "Not Found");
  const vhosts = found.map((one) => one.name);
  const chosen = [view.query.vhost, "/"].find((one) => vhosts.includes(one)) ?? vhosts[0] ?? "";
  view.state.draft ??= policy ? draftOf(policy) : { vhost: chosen, name: "", pattern: view.query.pattern ?? "", target: "queues", priority: "0", settings: [] };
  if (mayChange(view)) match(view);
  return { policies, policy, vhosts };
}

/** For those who may look only. */
const readOnly = (view) => [
  view.data.policy && h("section", policyTable(view, [view.data.policy])),
  h("p.help", `Only ${kindOf(view) === "operator" ? "administrators" : "users with the tag policymaker"} may add and change these.`),
];

const formRoute = {
  section: "/policies",
  above: (view) => [[link(view), kindOf(view) === "operator" ? "Operator policies" : "Policies"]],
  // New queues may match.
  interval: 15000,
  load: loadForm,
  render: (view) => (mayChange(view) ? form(view) : readOnly(view)),
};
const add = { ...formRoute, path: "/policies/add", title: (view) => (kindOf(view) === "operator" ? "Add an operator policy" : "Add a policy") };
const one = { ...formRoute, path: "/policies/:vhost/:name", title: ({ params }) => params.name };

export const routes = [list, add, one];
