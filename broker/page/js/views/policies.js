// Policies: the list, and the form of one, which says which objects the pattern matches before anything is saved.

import { h } from "../dom.js";
import { ApiError, get, path, put, remove, withQuery } from "../api.js";
import { confirm, notify } from "../dialog.js";
import { choice, field, parseValue, text } from "../form.js";
import { bytes, count, duration, plural } from "../format.js";
import { localPage, orderOf, pager, searchBar, table } from "../table.js";

const APPLY_TO = [
  ["all", "queues and exchanges"], ["queues", "queues"], ["classic_queues", "classic queues"], ["quorum_queues", "quorum queues"], ["streams", "streams"], ["exchanges", "exchanges"],
];
// The columns: what values there are, whether operator policies may have it, which queues it does not suit, and what it does.
const KEYS = {
  "max-length": ["count", true, ["streams"], "At most so many messages; “overflow” says what becomes of the others."],
  "max-length-bytes": ["bytes", true, [], "At most so many bytes of bodies. A stream deletes its oldest segments."],
  "overflow": [["drop-head", "reject-publish", "reject-publish-dlx"], true, ["streams"], "What happens at the limit of length: the oldest message goes, or the new one is refused, or refused and dead-lettered."],
  "message-ttl": ["ms", true, ["streams"], "Messages expire after this time in the queue."],
  "expires": ["ms", true, ["streams"], "The queue is deleted after this time without consumers and other use."],
  "dead-letter-exchange": ["text", false, ["streams"], "Where messages go that are rejected, expired or dropped at the limit. Empty: the default exchange."],
  "dead-letter-routing-key": ["text", false, ["streams"], "The routing key of dead letters; without it they keep theirs."],
  "dead-letter-strategy": [["at-most-once", "at-least-once"], false, ["classic queues", "streams"], "Whether a dead letter stays until it has arrived: at-least-once needs overflow reject-publish."],
  "delivery-limit": ["any", true, ["classic queues", "streams"], "A message that comes back more often than this is dead-lettered or dropped; −1 is no limit."],
  "delayed-retry-type": [["all", "failed", "returned", "disabled"], true, [], "Which messages wait before they are delivered again. It needs delayed-retry-min, except for “disabled”."],
  "delayed-retry-min": ["ms", true, [], "How long a returned message waits at first."],
  "delayed-retry-max": ["ms", true, [], "How long a returned message waits at most."],
  "consumer-timeout": ["ms", false, [], "A consumer that holds a message unacknowledged for this long has its channel closed."],
  "max-age": ["age", false, ["classic queues", "quorum queues"], "A stream deletes what is older: a number and Y, M, D, h, m or s, such as 7D."],
  "stream-max-segment-size-bytes": ["bytes", false, ["classic queues", "quorum queues"], "The size of a stream's files, by which it deletes: up to 3,000,000,000."],
  "alternate-exchange": ["text", false, [], "Of an exchange: where messages go that no binding matches."],
  "queue-mode": [["default", "lazy"], false, ["quorum queues", "streams"], "No effect; for older clients of RabbitMQ."],
  "queue-version": [[1, 2], true, [], "No effect; for older clients of RabbitMQ."],
  "max-in-memory-length": ["count", true, ["classic queues", "streams"], "No effect, as in RabbitMQ 4."],
  "max-in-memory-bytes": ["bytes", true, ["classic queues", "streams"], "No effect, as in RabbitMQ 4."],
  "queue-leader-locator": [["client-local", "balanced", "random", "least-leaders"], false, [], "No effect: there is one node."],
  "initial-cluster-size": ["count", false, ["classic queues", "quorum queues"], "No effect: there is one node."],
  "stream-filter-size-bytes": ["bytes", false, [], "No effect."],
  "consumer-disconnected-timeout": ["ms", false, [], "No effect: there is one node."],
};
const UNITS = { ms: "milliseconds", bytes: "bytes", count: "messages", any: "a number", age: "such as 7D", text: "text" };
const NUMBERS = ["ms", "bytes", "count", "any"];

const kindOf = (view) => (view.query.kind === "operator" ? "operator" : "user");
const address = (kind) => (kind === "operator" ? "/operator-policies" : "/policies");
const mayChange = (view, kind) => (kind === "operator" ? view.may() : view.may("policymaker"));
const noun = (kind) => (kind === "operator" ? "operator policy" : "policy");
const policyLink = (kind, vhost, name) => withQuery(`#/policies/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`, { kind: kind === "operator" && kind });

/** A value of a definition with its unit. */
function readable(key, value) {
  const [type] = KEYS[key] ?? [];
  const written = typeof value === "string" ? value || "(empty)" : JSON.stringify(value);
  if (type === "ms" && value >= 1000) return `${count(value)} ms (${duration(value)})`;
  if (type === "bytes" && value >= 1024) return `${count(value)} (${bytes(value)})`;
  return type === "ms" ? `${written} ms` : Number.isFinite(value) ? count(value) : written;
}

function definition(settings) {
  return Object.entries(settings).map(([key, value]) => h("div", { key }, h("code", key), ": ", readable(key, value)));
}

const titleOf = (target) => APPLY_TO.find(([value]) => value === target)?.[1] ?? target;

async function removePolicy(view, kind, { vhost, name }) {
  const question = `Delete the ${noun(kind)} ${name} of ${vhost}? Queues and exchanges that it applies to get the next one that matches, or none, at once.`;
  if (!(await confirm({ title: `Delete ${name}`, question, button: "Delete", action: () => remove(address(kind) + path`/${vhost}/${name}`) }))) return;
  notify(`${name} is deleted.`);
  if (view.route === list) view.reload();
  else view.go(withQuery("#/policies", { kind: kind === "operator" && kind }));
}

function tabs(view, kind) {
  const link = (to, title) => h("a", { href: view.link({ kind: to, page: undefined }), "aria-current": (to ?? "user") === kind ? "true" : undefined }, title);
  return h("nav.choice", { "aria-label": "Kind of policies" }, link(undefined, "Policies"), link("operator", "Operator policies"));
}

function vhostFilter(view, policies) {
  const vhosts = [...new Set([...policies.map(({ vhost }) => vhost), ...(view.query.vhost === undefined ? [] : [view.query.vhost])])].sort();
  if (vhosts.length < 2 && view.query.vhost === undefined) return null;
  return h("select", { "aria-label": "Virtual host", value: view.query.vhost === undefined ? "" : `=${view.query.vhost}`, onchange: (event) => view.go(view.link({ vhost: event.target.value.slice(1) || undefined, page: undefined })) },
    h("option", { value: "" }, "all virtual hosts"), vhosts.map((name) => h("option", { value: `=${name}`, key: name }, name)));
}

function policyTable(view, kind, list, order) {
  const changeable = mayChange(view, kind);
  const none = kind === "operator" ? "There are no operator policies. They limit what users' policies and arguments may ask for." : "There are no policies. One sets what queues and exchanges do, by their names, and can be changed at any time: say max-length for all queues that begin with “jobs.”.";
  return table({
    label: "Policies",
    rows: list.items,
    key: ({ vhost, name }) => JSON.stringify([vhost, name]),
    order,
    empty: list.total_count ? "No policy matches the search." : none,
    columns: [
      { title: "Name", sort: "name", cell: ({ vhost, name }) => h("a", { href: policyLink(kind, vhost, name) }, name || "(empty name)") },
      { title: "Virtual host", sort: "vhost", cell: ({ vhost }) => h("a", { href: `#/vhosts/${encodeURIComponent(vhost)}` }, vhost) },
      { title: "Pattern", sort: "pattern", class: "pattern", cell: ({ pattern }) => h("code", pattern || "(empty: every name)") },
      { title: "Applies to", sort: "apply-to", cell: (policy) => titleOf(policy["apply-to"]) },
      { title: "Priority", sort: "priority", number: true, help: "Where several match, the highest applies", cell: ({ priority }) => count(priority) },
      { title: "Definition", class: "pattern", cell: (policy) => definition(policy.definition) },
      changeable && { title: "Actions", number: true, cell: (policy) => h("div.actions", h("button.small.danger", { type: "button", "aria-label": `Delete ${policy.name}`, onclick: () => removePolicy(view, kind, policy) }, "Delete")) },
    ].filter(Boolean),
  });
}

const list = {
  path: "/policies",
  title: "Policies",
  load: (view) => view.get(address(kindOf(view))),
  render(view) {
    const kind = kindOf(view);
    const { vhost } = view.query;
    const list = localPage(view, view.data, { text: ({ name, pattern }) => `${name} ${pattern}`, keep: (policy) => vhost === undefined || policy.vhost === vhost });
    const add = withQuery("#/policies/add", { kind: kind === "operator" && kind, vhost });
    return [
      tabs(view, kind),
      searchBar(view, list, "policy", vhostFilter(view, view.data), mayChange(view, kind) && h("a.button", { href: add }, `Add an ${noun(kind)}`.replace("an policy", "a policy"))),
      h("section", policyTable(view, kind, list, orderOf(view)), pager(view, list)),
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

function names(kind, vhost, all, total) {
  const shown = all.slice(0, 20);
  const link = (name) => h("a", { href: `#/${kind}/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}` }, h("bdi", name || "(default)"));
  return h("p.names", shown.map((name, index) => [index > 0 && ", ", link(name)]), total > shown.length && ` and ${count(total - shown.length)} more`);
}

function matched(noun, kind, vhost, { total, names: all, overridden = [], overridden_total: lost = 0 }) {
  const by = [...new Set(overridden.map(({ policy }) => policy))];
  return h("div", { key: kind },
    h("h3", total ? plural(total, noun) : `No ${noun}`),
    total > 0 && names(kind, vhost, all, total),
    lost > 0 && [
      h("p.notice", `${lost === total ? "All of these" : `${count(lost)} of these`} ${lost === 1 ? "keeps" : "keep"} another policy, which comes first: ${by.join(", ")}. Raise the priority to win over it.`),
      names(kind, vhost, overridden.map(({ name }) => name), lost),
    ]);
}

/** Which other policies this one comes before and after, where both match. */
function precedence({ policies, draft }) {
  const mine = Number(draft.priority) || 0;
  const others = policies.filter(({ vhost, name }) => vhost === draft.vhost && name !== draft.name);
  // Of equal priorities the first by name applies.
  const [before, after] = [[], []];
  for (const { name, priority } of others) (priority > mine || (priority === mine && name < draft.name) ? before : after).push(name);
  const written = (all) => (all.length > 5 ? `${all.slice(0, 5).join(", ")} and ${count(all.length - 5)} more` : all.join(", "));
  return [
    after.length > 0 && h("p.help", `Where they match, too, it applies instead of ${written(after)}.`),
    before.length > 0 && h("p.help", `It does not apply where one of these matches: ${written(before)}.`),
  ];
}

function matchesPanel(view) {
  const { draft, matches } = view.state;
  const result = () => {
    if (!matches) return h("p.help", "Asking the broker…");
    const { error, found } = matches;
    if (error?.status === 404) return h("p.help", "This broker cannot say which objects match before the policy is saved, or you have no permissions in the virtual host.");
    if (error instanceof ApiError) return h("p.error", `${error.status === 400 ? "The broker cannot use this: " : ""}${error.message}`);
    if (error) throw error;
    return h("div.columns", draft.target !== "exchanges" && matched("queue", "queues", draft.vhost, found.queues), ["all", "exchanges"].includes(draft.target) && matched("exchange", "exchanges", draft.vhost, found.exchanges));
  };
  // “all” and “queues” are queues of every type.
  const wide = ["all", "queues"].includes(draft.target);
  const aimed = (types = []) => types.filter((type) => wide || type === titleOf(draft.target));
  const unsuited = [...new Set(draft.settings.flatMap(({ key }) => aimed(KEYS[key]?.[2])))];
  return h("section.matches", { role: "status", "aria-label": "Objects that match" },
    h("h2", "What it matches now"), result(),
    unsuited.length > 0 && h("p.notice", `It does not apply to ${unsuited.join(" and ")}, because of ${draft.settings.map(({ key }) => key).filter((key) => aimed(KEYS[key]?.[2]).length).join(", ")}: the next policy that matches does.`),
    precedence({ policies: view.data.policies, draft }));
}

/** The control of one setting, by the type of its key. */
function valueField(view, setting) {
  const { key } = setting;
  const [type = "text", , , help] = KEYS[key] ?? [];
  const change = (event) => { setting.value = event.target.value; view.redraw(); };
  const number = NUMBERS.includes(type);
  const control = Array.isArray(type)
    ? h("select", { name: key, value: setting.value, onchange: change }, type.map((value) => h("option", { value: String(value), key: value }, value)))
    : h("input", { type: number ? "number" : "text", name: key, step: 1, min: number && type !== "any" ? 0 : undefined, required: number || type === "age", pattern: type === "age" ? "[1-9][0-9]*[YMDhms]" : undefined, placeholder: UNITS[type], spellcheck: "false", autocomplete: "off", value: setting.value, oninput: change });
  const read = number && setting.value !== "" && ["ms", "bytes"].includes(type) ? readable(key, Number(setting.value)) : null;
  return h("div.setting", { key },
    field(h("code", key), control, [help, read && ` ${read}.`].filter(Boolean).join("")),
    h("button.small", { type: "button", "aria-label": `Remove ${key}`, onclick: () => { const { settings } = view.state.draft; settings.splice(settings.indexOf(setting), 1); view.redraw(); } }, "Remove"));
}

function settingsFields(view, kind) {
  const { settings } = view.state.draft;
  const left = Object.entries(KEYS).filter(([key, [, operator]]) => (kind === "user" || operator) && !settings.some((one) => one.key === key));
  const groups = [["Settings", left.filter(([, [, , , help]]) => !help.startsWith("No effect"))], ["Without effect", left.filter(([, [, , , help]]) => help.startsWith("No effect"))]];
  const add = (event) => {
    const key = event.target.value;
    const [type] = KEYS[key];
    settings.push({ key, value: Array.isArray(type) ? String(type[0]) : "" });
    event.target.value = "";
    view.state.draft.failure = undefined;
    view.redraw();
    document.getElementById(`field-${key}`)?.focus();
  };
  return h("fieldset", h("legend", "Definition"),
    settings.map((setting) => valueField(view, setting)),
    field("Add a setting", h("select", { name: "add", value: "", onchange: add }, h("option", { value: "" }, "choose…"),
      groups.map(([label, keys]) => keys.length > 0 && h("optgroup", { label, key: label }, keys.map(([key, [, , , help]]) => h("option", { value: key, key }, `${key}: ${help.length > 70 ? `${help.slice(0, 68)}…` : help}`)))))));
}

function valueOf({ key, value }) {
  const [type] = KEYS[key] ?? [];
  if (type === undefined) return parseValue(value);
  return NUMBERS.includes(type) || typeof type[0] === "number" ? Number(value) : value;
}

async function save(event, view, kind) {
  event.preventDefault();
  const { draft } = view.state;
  draft.failure = undefined;
  const definition = Object.fromEntries(draft.settings.map((setting) => [setting.key, valueOf(setting)]));
  try {
    if (draft.settings.length === 0) throw new Error("Add a setting: a policy without one does nothing.");
    if (view.route === add && view.data.policies.some(({ vhost, name }) => vhost === draft.vhost && name === draft.name)) throw new Error(`There is an ${noun(kind)} ${draft.name} in ${draft.vhost} already.`.replace("an policy", "a policy"));
    await put(address(kind) + path`/${draft.vhost}/${draft.name}`, { pattern: draft.pattern, "apply-to": draft.target, priority: Number(draft.priority) || 0, definition });
  } catch (error) {
    // A refusal has the reason below a heading.
    draft.failure = error.message.replace(/^Validation failed\s+/, "").trim();
    return view.redraw();
  }
  notify(`${draft.name} is saved and in force.`);
  view.go(withQuery("#/policies", { kind: kind === "operator" && kind }));
}

function form(view) {
  const kind = kindOf(view);
  const { draft } = view.state;
  const fresh = view.route === add;
  const change = (name, rematch = true) => (event) => {
    draft[name] = event.target.value;
    if (rematch) match(view);
    view.redraw();
  };
  return h("div.columns",
    h("section", h("form.fields", { onsubmit: (event) => save(event, view, kind) },
      fresh
        ? choice("Virtual host", "vhost", view.data.vhosts, undefined, { value: draft.vhost, onchange: change("vhost") })
        : text("Virtual host", "vhost", undefined, { value: draft.vhost, readonly: true }),
      text("Name", "name", undefined, { value: draft.name, required: true, readonly: !fresh, oninput: change("name") }),
      h("div.wide", text("Pattern", "pattern", "A regular expression, found anywhere in a name: ^jobs\\. is what begins with “jobs.”, and an empty one is every name.", { value: draft.pattern, class: "mono", oninput: change("pattern") })),
      choice("Applies to", "target", APPLY_TO, undefined, { value: draft.target, onchange: change("target") }),
      text("Priority", "priority", "Where several match, the highest applies.", { type: "number", step: 1, value: draft.priority, oninput: change("priority") }),
      settingsFields(view, kind),
      draft.failure && h("p.error", { role: "alert" }, draft.failure),
      h("div.buttons", h("a.button.plain", { href: withQuery("#/policies", { kind: kind === "operator" && kind }) }, "Cancel"),
        !fresh && h("button.danger", { type: "button", onclick: () => removePolicy(view, kind, draft) }, "Delete…"),
        h("button.primary", { type: "submit" }, "Save")))),
    matchesPanel(view));
}

function draftOf(policy) {
  const value = (one) => (typeof one === "string" || typeof one === "number" ? String(one) : JSON.stringify(one));
  const settings = Object.entries(policy.definition).map(([key, one]) => ({ key, value: value(one) }));
  return { vhost: policy.vhost, name: policy.name, pattern: policy.pattern, target: policy["apply-to"], priority: String(policy.priority), settings };
}

/** Loads what the form needs; what was typed stays, whatever the broker says since. */
async function loadForm(view) {
  const { vhost, name } = view.params;
  const kind = kindOf(view);
  const [policies, vhosts] = await Promise.all([view.get(address(kind)), view.get("/vhosts?columns=name")]);
  const policy = policies.find((one) => one.vhost === vhost && one.name === name);
  if (name !== undefined && !policy) throw new ApiError(404, "Not Found");
  const all = vhosts.map((one) => one.name);
  const chosen = all.includes(view.query.vhost) ? view.query.vhost : all.includes("/") ? "/" : (all[0] ?? "");
  view.state.draft ??= policy ? draftOf(policy) : { vhost: chosen, name: "", pattern: view.query.pattern ?? "", target: "queues", priority: "0", settings: [] };
  if (mayChange(view, kind)) match(view);
  return { policies, policy, vhosts: all };
}

/** For those who may look only. */
function readOnly(view, kind) {
  const { policy } = view.data;
  const why = `Only ${kind === "operator" ? "administrators" : "users with the tag policymaker"} may add and change these.`;
  return [policy && h("section", policyTable(view, kind, { items: [policy], total_count: 1 })), h("p.help", why)];
}

const formRoute = {
  section: "/policies",
  above: (view) => [["#/policies", "Policies"], ...(kindOf(view) === "operator" ? [["#/policies?kind=operator", "Operator policies"]] : [])],
  // New queues may match.
  interval: 15000,
  load: loadForm,
  render: (view) => (mayChange(view, kindOf(view)) ? form(view) : readOnly(view, kindOf(view))),
};

const add = { ...formRoute, path: "/policies/add", title: (view) => (kindOf(view) === "operator" ? "Add an operator policy" : "Add a policy") };
const one = { ...formRoute, path: "/policies/:vhost/:name", title: ({ params }) => params.name };

export const routes = [list, add, one];
