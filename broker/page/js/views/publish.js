// The form that publishes a message, on the pages of exchanges and queues.

import { h } from "../dom.js";
import { path, post } from "../api.js";
import { fromBase64, toBase64 } from "../bodies.js";
import { notify } from "../dialog.js";
import { area, choice, field, fromPairs, pairs, text } from "../form.js";
import { bytes } from "../format.js";
import { traceAddress } from "./parts.js";

const PROPERTIES = [
  ["content_type", "Content type", "Such as application/json: consumers may decide by it how to read the body."],
  ["content_encoding", "Content encoding", "Such as gzip or utf-8."],
  ["expiration", "Expiration", "Milliseconds after which it is dropped or dead-lettered, if it is still in the queue."],
  ["priority", "Priority", "0 to 255; of use in a priority queue or a quorum queue."],
  ["correlation_id", "Correlation ID", "What a reply repeats."],
  ["reply_to", "Reply to", "The queue that a reply is to go to."],
  ["message_id", "Message ID"],
  ["timestamp", "Timestamp", "Seconds since 1970, by the publisher's clock."],
  ["type", "Type", "What kind of message it is, for the application."],
  ["user_id", "User ID", "If it is set, it has to be your user name."],
  ["app_id", "App ID", "What published it."],
];
const NUMBERS = ["priority", "timestamp"];
// A request has at most 20 MB, and base64 takes a third more.
const LARGEST_FILE = 14e6;

function readProperties(elements, headers) {
  const properties = { delivery_mode: Number(elements.delivery_mode.value) };
  for (const [name, title] of PROPERTIES) {
    const typed = elements[name].value;
    if (typed === "") continue;
    if (NUMBERS.includes(name) && !/^\d+$/.test(typed)) throw new Error(`${title} is a whole number.`);
    properties[name] = NUMBERS.includes(name) ? Number(typed) : typed;
  }
  if (Object.keys(headers).length) properties.headers = headers;
  return properties;
}

/** Says what is wrong with a payload, or null. */
function fault({ payload, encoding }) {
  try {
    if (encoding === "json") JSON.parse(payload);
    if (encoding === "base64") fromBase64(payload);
    return null;
  } catch (error) {
    return encoding === "json" ? `This is not JSON: ${error.message}.` : "This is not base64.";
  }
}

async function publish(view, { vhost, exchange, routingKey }, { elements }) {
  const state = view.state.publishing;
  const key = routingKey ?? elements.publish_key.value;
  state.outcome = null;
  await view.act(async () => {
    const wrong = fault(state);
    if (wrong) throw new Error(wrong);
    const headers = fromPairs(state.headers);
    const properties = readProperties(elements, headers);
    if (state.encoding === "json") properties.content_type ??= "application/json";
    const { routed } = await post(path`/exchanges/${vhost}/${exchange || "amq.default"}/publish`, {
      properties, routing_key: key, payload: state.payload, payload_encoding: state.encoding === "base64" ? "base64" : "string",
    });
    // What was typed stays: the next message is often alike.
    state.count += 1;
    if (routed) state.routed = (state.routed ?? 0) + 1;
    state.outcome = { routed, trace: traceAddress(vhost, exchange, key, properties.headers) };
  });
}

function outcome({ count, routed: all, outcome: { routed, trace } }) {
  return routed
    ? h("p.ok.wide", { key: count, role: "status" }, `The message is published, and in at least one queue${all > 1 ? ` (${all} so far)` : ""}.`)
    : h("p.notice.wide", { key: count, role: "status" }, `The message reached no queue, and is gone. `, h("a", { href: trace }, "The trace shows why"), ".");
}

// A file's bytes as base64, so that anything can be published.
async function chooseFile(view, { target: { files: [file] } }) {
  if (!file) return;
  if (file.size > LARGEST_FILE) return notify(`${file.name} has ${bytes(file.size)}; the broker takes some 14 MB this way.`, true);
  Object.assign(view.state.publishing, { encoding: "base64", payload: toBase64(new Uint8Array(await file.arrayBuffer())) });
  view.redraw();
}

function payloadFields(view, state) {
  const wrong = state.payload ? fault(state) : null;
  const change = (changes) => {
    Object.assign(state, changes);
    view.redraw();
  };
  const length = state.encoding === "base64" ? Math.floor((state.payload.replace(/[\s=]/g, "").length * 3) / 4) : new TextEncoder().encode(state.payload).length;
  const help = wrong ?? `${bytes(length)}${{ text: ", in UTF-8", json: " of valid JSON; it is sent as it stands here", base64: " when decoded" }[state.encoding]}.`;
  return [
    choice("The payload is", "encoding", [["text", "Text"], ["json", "JSON, checked"], ["base64", "Base64 of bytes"]], null, { value: state.encoding, onchange: (event) => change({ encoding: event.target.value }) }),
    field("Or from a file", h("input", { type: "file", name: "file", onchange: (event) => chooseFile(view, event) })),
    h("div.wide", area("Payload", "payload", help, { rows: 6, dir: "auto", value: state.payload, "aria-invalid": wrong ? "true" : undefined, oninput: (event) => change({ payload: event.target.value }) })),
  ];
}

/**
 * The form that publishes to `exchange` (empty for the default one). With a `routingKey` that is used, without it the form
 * asks for one.
 */
export function publishForm(view, place) {
  const state = (view.state.publishing ??= { headers: [], payload: "", encoding: "text", count: 0 });
  const asks = place.routingKey === undefined;
  return h("form.fields", { onsubmit: (event) => { event.preventDefault(); publish(view, place, event.target); }, autocomplete: "off" },
    asks && text("Routing key", "publish_key", place.exchange ? "Bindings are compared with it." : "The name of the queue that is to get it.", { maxlength: 255 }),
    choice("Delivery mode", "delivery_mode", [["2", "2, persistent: kept on disk in durable queues"], ["1", "1, transient: gone with a restart"]]),
    payloadFields(view, state),
    pairs("Headers", state.headers, view.redraw, { help: "Numbers, true, false and JSON are taken as such, everything else as text; a number in quotes is text." }),
    h("details.wide", h("summary", "Properties"), h("div.fields", PROPERTIES.map(([name, title, help]) => text(title, name, help, { maxlength: 255 })))),
    h("div.buttons.start", h("button.primary", { type: "submit" }, "Publish")),
    state.outcome && outcome(state));
}
