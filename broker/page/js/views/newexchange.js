// What types of exchanges there are, and the dialog that declares one.

import { h } from "../dom.js";
import { vhostsWith } from "../access.js";
import { path, put } from "../api.js";
import { dialog, notify } from "../dialog.js";
import { check, choice, fromPairs, pairs, text, values } from "../form.js";
import { exchangeAddress } from "../links.js";
import { otherSettings } from "./parts.js";

/** The types: what an exchange of each does with a message, and what its bindings' keys mean. */
export const TYPES = {
  direct: { does: "A message goes where a binding has exactly its routing key.", key: "The routing key of the messages that take this binding." },
  fanout: { does: "A message goes to everything that is bound; routing keys do not matter.", key: "It has no effect here: leave it empty." },
  topic: { does: "Routing keys are words with dots between them. A message goes where a binding's pattern matches: * stands for one word, # for any number of them.", key: "A pattern: orders.* matches orders.new, orders.# also orders and orders.new.eu." },
  headers: { does: "A message goes where a binding's arguments match its headers; routing keys do not matter.", key: "It does not matter here; it only tells bindings apart." },
  "x-consistent-hash": { does: "Each message goes to one destination, chosen by a hash of its routing key (or of a header or property): equal keys to the same one.", key: "The weight of this destination, a number from 1: with 2 it gets twice the share of one with 1." },
  "x-modulus-hash": { does: "Each message goes to one destination, chosen by a hash of its routing key, each with the same share.", key: "It does not matter here." },
  "x-random": { does: "Each message goes to one destination, chosen at random.", key: "It does not matter here." },
  "x-local-random": { does: "Each message goes to one queue of this node, chosen at random.", key: "It has to be empty here, and only queues can be bound." },
  "x-delayed-message": { does: "A message with the header x-delay waits here for so many milliseconds, and is then routed as by another type.", key: "As for the type by which it routes." },
};

/** Returns the type by which an exchange routes: for a delayed one, that of its arguments. */
export function routedBy(exchange) {
  return exchange.type === "x-delayed-message" ? (exchange.arguments?.["x-delayed-type"] ?? "direct") : exchange.type;
}

function typeFields(state) {
  const delayed = state.type === "x-delayed-message";
  const delayable = Object.keys(TYPES).filter((type) => type !== "x-delayed-message");
  const hashed = (delayed ? state.delayed : state.type) === "x-consistent-hash";
  return [
    delayed && choice("Then routes as", "x-delayed-type", delayable, TYPES[state.delayed].does, { value: state.delayed, onchange: (event) => state.change({ delayed: event.target.value }) }),
    hashed && choice("Hash of", "hash-on", [["", "the routing key"], ["hash-header", "a header"], ["hash-property", "a property"]], "Messages with the same value go to the same destination.", { value: state.hash, onchange: (event) => state.change({ hash: event.target.value }) }),
    hashed && state.hash === "hash-header" && text("Name of the header", "hash-header", null, { required: true }),
    hashed && state.hash === "hash-property" && choice("Property", "hash-property", ["message_id", "correlation_id", "timestamp"]),
  ];
}

function fields(state, vhosts, redraw) {
  state.change = (changes) => {
    Object.assign(state, changes);
    redraw();
  };
  return h("div.fields",
    text("Name", "name", "Names that begin with amq. are the broker's own.", { required: true, maxlength: 255, autofocus: true }),
    choice("Virtual host", "vhost", vhosts, null, { value: state.vhost }),
    choice("Type", "type", Object.keys(TYPES), TYPES[state.type].does, { value: state.type, onchange: (event) => state.change({ type: event.target.value }) }),
    typeFields(state),
    text("Alternate exchange", "alternate-exchange", "Gets the messages that match no binding here. A policy can set it, too, and change it later."),
    check("Durable", "durable", "It is there after a restart, with its bindings to durable queues.", { checked: true }),
    check("Auto-delete", "auto_delete", "It is deleted when its last binding goes."),
    check("Internal", "internal", "Clients cannot publish to it; messages come from other exchanges."),
    pairs("Further arguments", state.arguments, redraw, { help: "Numbers, true, false and JSON are taken as such; a text that looks like a number needs quotes." }));
}

async function declare(form, state) {
  const given = values(form);
  const named = ["alternate-exchange", "x-delayed-type", "hash-header", "hash-property"].filter((name) => given[name]);
  const body = {
    type: given.type,
    durable: given.durable,
    auto_delete: given.auto_delete,
    internal: given.internal,
    arguments: { ...fromPairs(state.arguments), ...Object.fromEntries(named.map((name) => [name, given[name]])) },
  };
  try {
    await put(path`/exchanges/${given.vhost}/${given.name}`, body);
  } catch (error) {
    const difference = otherSettings(error.message);
    throw difference ? new Error(`An exchange of this name exists with other settings: ${difference}.`) : error;
  }
  return given;
}

/** Asks for an exchange to declare, declares it, and goes to its page. */
export async function declareExchange(view) {
  const vhosts = vhostsWith(view, "configure");
  const state = { type: "direct", delayed: "direct", hash: "", vhost: vhosts.includes("/") ? "/" : vhosts[0], arguments: [] };
  const declared = await dialog({
    title: "Declare an exchange",
    button: "Declare",
    wide: true,
    content: (redraw) => fields(state, vhosts, redraw),
    action: (form) => declare(form, state),
  });
  if (!declared) return;
  notify(`The exchange ${declared.name} is declared.`);
  view.go(exchangeAddress(declared.vhost, declared.name));
}
