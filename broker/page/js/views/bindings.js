// The bindings that lead to a queue: shown, added and removed.

import { h } from "../dom.js";
import { path, post, remove } from "../api.js";
import { confirm } from "../dialog.js";
import { fromPairs, pairs, text } from "../form.js";
import { count } from "../format.js";
import { exchangeLink } from "../links.js";
import { table } from "../table.js";
import { TYPES } from "./newexchange.js";
import { argumentsOf } from "./parts.js";

const SHOWN = 500;

// The field for an exchange's name suggests those of the virtual host, asked for once when somebody is about to type.
function sourceField(view, type) {
  const { state } = view;
  const ask = async () => {
    if (state.exchanges) return;
    state.exchanges = [];
    try {
      state.exchanges = (await view.get(`${path`/exchanges/${view.params.vhost}`}?page=1&page_size=500&columns=name,type`, { signal: undefined })).items;
      view.redraw();
    } catch {
      // Without suggestions, then.
    }
  };
  const change = (event) => { state.source = event.target.value; view.redraw(); };
  const names = (state.exchanges ?? []).filter(({ name }) => name);
  return [text("From the exchange", "source", type && `It is a ${type} exchange.`, { list: "exchange-names", required: true, onfocus: ask, oninput: change }), h("datalist#exchange-names", names.map(({ name, type }) => h("option", { key: name, value: name }, type)))];
}

function removal(view, { source, vhost, destination, routing_key: key, properties_key: id }) {
  const question = `Remove the binding from ${source} with the key “${key}”? Messages that are here already stay.`;
  return async () => {
    const done = await confirm({ title: "Remove a binding", question, button: "Remove", action: () => remove(path`/bindings/${vhost}/e/${source}/q/${destination}/${id}`) });
    if (done) view.act(async () => {}, "The binding is removed.");
  };
}

async function add(view, event) {
  event.preventDefault();
  const form = event.target;
  const { vhost, name } = view.params;
  const source = form.elements.source.value;
  await view.act(async () => {
    const body = { routing_key: form.elements.key.value, arguments: fromPairs(view.state.bindingArguments) };
    await post(path`/bindings/${vhost}/e/${source}/q/${name}`, body);
    view.state.bindingArguments = [["", ""]];
    form.reset();
  }, `Messages of ${source} come here now.`);
}

function form(view) {
  const { state } = view;
  state.bindingArguments ??= [["", ""]];
  const type = state.exchanges?.find(({ name }) => name === state.source)?.type;
  return h("details", h("summary", "Add a binding"), h("form.fields", { onsubmit: (event) => add(view, event), autocomplete: "off" },
    h("div", { key: "source" }, sourceField(view, type)),
    h("div", { key: "key" }, text("Routing key", "key", TYPES[type]?.key ?? "What it means depends on the type of the exchange.")),
    pairs("Arguments of the binding", state.bindingArguments, view.redraw, { known: type === "headers" ? ["x-match"] : [] }),
    h("div.buttons.start", { key: "buttons" }, h("button.primary", { type: "submit" }, "Add"))));
}

/** The section of a queue's page. */
export function bindingsSection(view, may) {
  const { bindings } = view.data;
  const { vhost, name } = view.params;
  const columns = [
    { title: "From", cell: ({ source }) => exchangeLink(vhost, source) },
    { title: "Routing key", cell: ({ source, routing_key: key }) => [h("span.mono", { dir: "auto" }, key === "" ? "(empty)" : key), !source && h("p.help", "Every queue is bound to the default exchange by its name. That cannot be removed.")] },
    { title: "Arguments", cell: ({ arguments: given }) => argumentsOf(given, "–") },
    may.bind && { title: "Remove", cell: (binding) => binding.source && h("button.small", { type: "button", "aria-label": `Remove the binding from ${binding.source} with the key ${binding.routing_key}`, onclick: removal(view, binding) }, "Remove…") },
  ].filter(Boolean);
  return h("section", h("h2", `Bindings (${count(bindings.length)})`),
    table({ label: `Bindings to ${name}`, columns, rows: bindings.slice(0, SHOWN), key: ({ source, properties_key: id }) => JSON.stringify([source, id]), empty: "None." }),
    bindings.length > SHOWN && h("p.help", `The first ${count(SHOWN)} are shown.`),
    may.bind && form(view));
}
