// The form that publishes a message.

import { h } from "../dom.js";
import { path, post } from "../api.js";
import { fromBase64, toBase64 } from "../bodies.js";
import { notify } from "../dialog.js";
import { choice, field, fromPairs, pairs, text } from "../form.js";
import { bytes } from "../format.js";
import { exchangeField } from "./bindings.js";

const PROPERTIES = [
  ["content_type", "Content type", "Such as application/json: consumers may decide by it how to read the body."],
  ["content_encoding", "Content encoding", "Such as gzip or utf-8."],
  ["expiration", "Expiration", "Milliseconds after which it is dropped or dead-lettered, if it is still in the queue."],
  ["priority", "Priority", "0 to 255; of use in a priority queue or a quorum queue."],
  ["correlation_id", "Correlation ID", "What a reply repeats."],
  ["reply_to", "Reply to", "The queue that a reply is to go to."],
  ["message_id", "Message ID", null],
  ["timestamp", "Timestamp", "Seconds since 1970, by the publisher's clock."],
  ["type", "Type", "What kind of message it is, for the application."],
  ["user_id", "User ID", "If it is set, it has to be your user name."],
  ["app_id", "App ID", "What published it."],
];
const NUMBERS = ["priority", "timestamp"];

function readProperties(elements, headers) {
  const properties = { delivery_mode: Number(elements.delivery_mode.value) };
  for (const [name, title] of PROPERTIES) {
    const typed = elements[name].value;
    if (typed === "") continue;
    if (NUMBERS.includes(name) && !/^\d+$/.test(typed)) throw new Error(`${title} is a whole number.`);
    properties[name] = NUMBERS.includes(name) ? Number(typed) : typed;
  }
  const given = fromPairs(headers);
  if (Object.keys(given).length) properties.headers = given;
  return properties;
}

function check(payload, encoding) {
  try {
    if (encoding === "json") JSON.parse(payload);
    if (encoding === "base64") fromBase64(payload);
    return null;
  } catch (error) {
    return encoding === "json" ? `This is not JSON: ${error.message}.` : "This is not base64.";
  }
}

async function publish(view, vhost, event) {
  event.preventDefault();
  const { elements } = event.target;
  const { state } = view;
  const exchange = elements.exchange.value;
  await view.act(async () => {
    const failure = check(state.payload, state.encoding);
    if (failure) throw new Error(failure);
    const body = {
      properties: readProperties(elements, state.headers), routing_key: elements.routing_key.value,
      payload: state.payload, payload_encoding: state.encoding === "base64" ? "base64" : "string",
    };
    if (state.encoding === "json") body.properties.content_type ??= "application/json";
    const { routed } = await post(path`/exchanges/${vhost}/${exchange || "amq.default"}/publish`, body);
    if (!routed) throw new Error(`No queue has it: no binding of ${exchange || "the default exchange"} matches. The message is gone. Trace shows why.`);
  }, "The message is published, and in at least one queue.");
}

// A file's bytes as base64, so that anything can be published.
async function chooseFile(view, event) {
  const file = event.target.files[0];
  if (!file) return;
  if (file.size > 14e6) return notify(`${file.name} has ${bytes(file.size)}; the broker takes some 14 MB this way.`, true);
  Object.assign(view.state, { encoding: "base64", payload: toBase64(new Uint8Array(await file.arrayBuffer())) });
  view.redraw();
}

function body(view) {
  const { state } = view;
  const failure = state.payload ? check(state.payload, state.encoding) : null;
  const length = state.encoding === "base64" ? Math.floor((state.payload.replace(/[\s=]/g, "").length * 3) / 4) : new TextEncoder().encode(state.payload).length;
  const help = failure ?? { text: `${bytes(length)}, in UTF-8.`, json: `${bytes(length)} of valid JSON; it is sent as it stands here.`, base64: `${bytes(length)} when decoded.` }[state.encoding];
  return [
    h("div", { key: "encoding" }, choice("The body is", "encoding", [["text", "Text"], ["json", "JSON, checked"], ["base64", "Base64 of bytes"]], null, { value: state.encoding, onchange: (event) => { state.encoding = event.target.value; view.redraw(); } })),
    h("div", { key: "file" }, field("Or from a file", h("input", { type: "file", name: "file", onchange: (event) => chooseFile(view, event) }))),
    h("div.wide", { key: "payload" }, field("Body", h("textarea", { name: "payload", rows: 8, spellcheck: "false", dir: "auto", value: state.payload, "aria-invalid": failure ? "true" : undefined, oninput: (event) => { state.payload = event.target.value; view.redraw(); } }), help)),
  ];
}

/** The section that publishes; `exchange` and `routingKey` are what is in the fields at first. */
export function publishSection(view, { vhost, exchange, routingKey }) {
  const { state } = view;
  state.headers ??= [["", ""]];
  state.payload ??= "";
  state.encoding ??= "text";
  return h("section", h("h2", "Publish a message"),
    h("form.fields", { onsubmit: (event) => publish(view, vhost, event), autocomplete: "off" },
      h("div", { key: "exchange" }, exchangeField(view, vhost, "Exchange", "exchange", "Empty for the default exchange, which leads to the queue that the routing key names.", { value: exchange })),
      h("div", { key: "key" }, text("Routing key", "routing_key", null, { value: routingKey })),
      h("div", { key: "mode" }, choice("Delivery mode", "delivery_mode", [["2", "2, persistent: kept on disk in durable queues"], ["1", "1, transient: gone with a restart"]])),
      h("details.wide", { key: "properties" }, h("summary", "Properties"), h("div.fields", PROPERTIES.map(([name, title, help]) => h("div", { key: name }, text(title, name, help))))),
      pairs("Headers", state.headers, view.redraw, { help: "Numbers, true, false and JSON are taken as such, everything else as text; a number in quotes is text." }),
      body(view),
      h("div.buttons.start", { key: "buttons" }, h("button.primary", { type: "submit" }, "Publish"))));
}
