// The form that declares a queue: its type, and each argument of that type with a sentence on what it does.

import { h } from "../dom.js";
import { loadAccesses, lacking, noPermissions, vhostsWith } from "../access.js";
import { path, request } from "../api.js";
import { ARGUMENTS, argumentsOf, readArgument } from "../arguments.js";
import { choice, check, fromPairs, pairs, text } from "../form.js";
import { notify } from "../dialog.js";
import { queueAddress, queueLink } from "../links.js";
import { otherSettings } from "./parts.js";

const TYPES = [
  ["classic", "Classic", "The usual queue. May be transient or deleted with its last consumer; has priorities."],
  ["quorum", "Quorum", "Durable, and counts failed deliveries, so that a message that nobody can handle does not come back for ever."],
  ["stream", "Stream", "A log on disk that consumers read from offsets of their choice. Reading does not empty it; its limits do."],
];

// What is typed again for a value that a queue has.
function typedFor(argument, value) {
  return argument.kind === "flag" ? value === true : typeof value === "string" ? value : JSON.stringify(value);
}

/** The form as it is at first: empty, or like another queue. */
function initial({ vhost, type, like, name }, vhosts, model) {
  const form = { vhost: [vhost, "/"].find((one) => vhosts.includes(one)) ?? vhosts[0], type: type ?? "classic", name: name ?? "", durable: true, auto_delete: false, typed: {}, useDefaultExchange: false, free: [], model: Object.keys(model?.arguments ?? {}) };
  if (!model) return form;
  Object.assign(form, { type: model.type ?? "classic", name: name ?? `${like}-copy`, durable: model.durable, auto_delete: model.auto_delete });
  for (const [key, value] of Object.entries(model.arguments)) {
    const argument = ARGUMENTS.find((one) => one.key === key);
    if (key === "x-dead-letter-exchange" && value === "") form.useDefaultExchange = true;
    else if (argument) form.typed[key] = typedFor(argument, value);
    else if (key !== "x-queue-type") form.free.push([key, typeof value === "string" && !/^[\d-]/.test(value) ? value : JSON.stringify(value)]);
  }
  return form;
}

/** Returns the arguments that the form asks for. */
function declared(form) {
  const given = form.type === "classic" ? {} : { "x-queue-type": form.type };
  for (const argument of argumentsOf(form.type)) {
    const value = readArgument(argument, form.typed[argument.key]);
    if (value !== undefined) given[argument.key] = value;
  }
  if (form.useDefaultExchange && form.type !== "stream") given["x-dead-letter-exchange"] = "";
  return { ...given, ...fromPairs(form.free) };
}

async function declare(view) {
  const { form } = view.state;
  try {
    const body = { durable: form.type !== "classic" || form.durable, auto_delete: form.type === "classic" && form.auto_delete, arguments: declared(form) };
    // A queue that exists already with the same arguments is fine; with others the broker says which differ.
    await request("PUT", path`/queues/${form.vhost}/${form.name}`, { body });
    notify(`${form.name} is declared.`);
    view.go(queueAddress(form.vhost, form.name));
  } catch (error) {
    view.state.failure = refusal(error, form);
    view.redraw();
  }
}

// Why it was not declared; what is there already can be looked at.
function refusal({ message }, { vhost, name }) {
  const difference = otherSettings(message);
  return difference ? [`A queue of this name exists with other settings: ${difference}. `, queueLink(vhost, name)] : message;
}

function argumentField(view, argument) {
  const { form } = view.state;
  const { key, title, kind, help } = argument;
  const typed = form.typed[key];
  const set = (value) => { form.typed[key] = value; view.redraw(); };
  const label = [title, " ", h("code.faint", key)];
  if (kind === "flag") return check(label, key, help, { checked: typed === true, onchange: (event) => set(event.target.checked) });
  if (Array.isArray(kind)) return choice(label, key, [["", "not set"], ...kind], help, { value: typed ?? "", onchange: (event) => set(event.target.value) });
  const off = key === "x-dead-letter-exchange" && form.useDefaultExchange;
  const hint = `not set${{ time: ", ms", size: ", bytes" }[kind] ?? ""}`;
  return text(label, key, help, { value: off ? "" : (typed ?? ""), disabled: off, placeholder: off ? "the default exchange" : hint, oninput: (event) => set(event.target.value) });
}

function group(view, title, all) {
  const { form } = view.state;
  const fields = h("div.fields",
    all.map((argument) => h("div", { key: argument.key }, argumentField(view, argument))),
    title === "Dead letters" && h("div", { key: "default" }, check("To the default exchange", "default-exchange", "Sends dead letters straight to the queue that the routing key names.", { checked: form.useDefaultExchange, onchange: (event) => { form.useDefaultExchange = event.target.checked; view.redraw(); } })));
  const open = all.some(({ key, hidden }) => !hidden || form.model.includes(key));
  return h("details.arguments", { key: `${form.type} ${title}`, open }, h("summary", title), fields);
}

function basics(view) {
  const { form } = view.state;
  const { vhosts } = view.data;
  const set = (key) => (event) => { form[key] = event.target.type === "checkbox" ? event.target.checked : event.target.value; view.redraw(); };
  return h("section", h("div.fields",
    (vhosts.length > 1 || (view.query.vhost ?? form.vhost) !== form.vhost) && choice("Virtual host", "vhost", vhosts, null, { value: form.vhost, onchange: set("vhost") }),
    text("Name", "name", "Names with separators, such as mail.failed, can share a policy.", { value: form.name, required: true, oninput: set("name") }),
    choice("Type", "type", TYPES, TYPES.find(([type]) => type === form.type)?.[2], { value: form.type, onchange: set("type") }),
    form.type === "classic" && h("div", { key: "durable" }, check("Durable", "durable", "It survives a restart, with its persistent messages.", { checked: form.durable, onchange: set("durable") })),
    form.type === "classic" && h("div", { key: "auto" }, check("Delete with the last consumer", "auto_delete", "auto-delete: the queue goes with its messages when the last consumer goes.", { checked: form.auto_delete, onchange: set("auto_delete") }))));
}

export const declareRoute = {
  path: "/declare/queue",
  section: "/queues",
  title: (view) => (view.query.like === undefined ? "Declare a queue" : `Declare a queue like ${view.query.like}`),
  above: () => [["#/queues", "Queues"]],
  // Nothing here changes by itself.
  interval: 600000,
  async load(view) {
    const { vhost, like } = view.query;
    if (view.data) return view.data;
    const [model] = await Promise.all([like !== undefined && view.get(path`/queues/${vhost}/${like}`), loadAccesses({ ...view, query: {} })]);
    const vhosts = vhostsWith({ ...view, query: {} }, "configure");
    view.state.form ??= initial(view.query, vhosts, model);
    return { vhosts };
  },
  render(view) {
    const { form, failure } = view.state;
    if (view.state.vhosts.length === 0) return h("div.empty", noPermissions(view));
    if (view.data.vhosts.length === 0) return lacking([false, "declare queues"]);
    const all = argumentsOf(form.type);
    const groups = [...new Set(all.map(({ group }) => group))];
    return h("form.declare", { onsubmit: (event) => { event.preventDefault(); declare(view); }, autocomplete: "off" },
      basics(view),
      h("section", h("h2", "Arguments"),
        h("p.help", "A queue keeps them for its life. What a policy can set, too, is often better set there: that can be changed."),
        groups.map((title) => group(view, title, all.filter((argument) => argument.group === title))),
        pairs("Other arguments", form.free, view.redraw, { help: "Numbers, true, false and JSON are taken as such, everything else as text." })),
      failure && h("p.error", { role: "alert" }, failure),
      h("div.buttons.start", h("a.button.plain", { href: "#/queues" }, "Cancel"), h("button.primary", { type: "submit" }, "Declare")));
  },
};
