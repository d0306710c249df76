// The messages of a queue: get some to look at, and move them elsewhere.

import { h } from "../dom.js";
import { path, request } from "../api.js";
import { fromBase64, parseExactly } from "../bodies.js";
import { notify } from "../dialog.js";
import { choice, text } from "../form.js";
import { count, plural, timeOfDay } from "../format.js";
import { messageItem } from "./message.js";
import { moveSection } from "./move.js";

const MODES = {
  ack_requeue_true: ["Look, and put back (nack)", "They go back to their places, marked as redelivered. With delayed retry of returned messages they wait first."],
  reject_requeue_true: ["Look, and put back as failed (reject)", "It counts as a failed delivery: in a quorum queue a message at its delivery limit is dropped or dead-lettered."],
  ack_requeue_false: ["Take away (ack)", "They are gone for good, even if the answer does not reach you."],
  reject_requeue_false: ["Reject (dead-letter)", "They go to the dead letter exchange. If the queue has none, they are gone for good."],
};
const CUTS = [["65536", "64 KiB of each body"], ["1048576", "1 MiB of each body"], ["", "whole bodies"]];

let got = 0;

async function fetchMessages(view, event) {
  event.preventDefault();
  const { state } = view;
  if (state.getting) return;
  const { vhost, name } = view.params;
  const { elements } = event.target;
  const body = { count: Number(elements.count.value), ackmode: elements.ackmode.value, encoding: "base64" };
  if (elements.cut.value) body.truncate = Number(elements.cut.value);
  state.getting = true;
  view.redraw();
  try {
    const answer = parseExactly(await request("POST", path`/queues/${vhost}/${name}/get`, { body, raw: true }));
    const messages = answer.map(({ payload, ...message }, index) => ({ ...message, id: (got += 1), number: index + 1, body: fromBase64(payload), open: index < 3 }));
    state.got = { messages, mode: body.ackmode, at: Date.now(), wanted: body.count };
  } catch (error) {
    notify(error.message, true);
  }
  state.getting = false;
  view.reload();
}

function result({ messages, mode, at, wanted }) {
  const became = { ack_requeue_true: "put back", reject_requeue_true: "put back as failed", ack_requeue_false: "taken away", reject_requeue_false: "rejected" }[mode];
  const left = messages.at(-1)?.message_count;
  const more = messages.length < wanted && left > 0 && ` ${plural(left, "message")} more did not fit into the answer: get again.`;
  return messages.length === 0 ? `There was no ready message at ${timeOfDay(at)}. Unacknowledged ones are with their consumers.` : [`${plural(messages.length, "message")}, got at ${timeOfDay(at)} and ${became}.`, more];
}

function getSection(view) {
  const { state } = view;
  const { queue } = view.data;
  const mode = state.mode ?? "ack_requeue_true";
  const loses = mode.endsWith("requeue_false");
  return h("section", h("h2", "Get messages"),
    h("form.fields", { onsubmit: (event) => fetchMessages(view, event), autocomplete: "off" },
      text("How many", "count", `${count(queue.messages_ready)} ready. The first are got first.`, { type: "number", min: 1, max: 10000, value: "1", required: true }),
      choice("What becomes of them", "ackmode", Object.entries(MODES).map(([id, [title]]) => [id, title]), null, { value: mode, onchange: (event) => { state.mode = event.target.value; view.redraw(); } }),
      choice("Show", "cut", CUTS),
      h("p.wide", { class: loses ? "notice" : "help", role: "status" }, MODES[mode][1]),
      h("div.buttons.start", h(loses ? "button.danger" : "button.primary", { type: "submit", "aria-disabled": state.getting ? "true" : undefined }, loses ? "Get, and remove from the queue" : "Get"))),
    state.got && h("p", { role: "status" }, result(state.got)),
    state.got && h("div.messages", state.got.messages.map((message) => messageItem(view, message))));
}

/** The part of a queue's page about its messages. */
export function messagesTab(view, may) {
  const { queue } = view.data;
  if (queue.type === "stream") return h("p.notice", "Consumers read a stream, from an offset of their choice (x-stream-offset). Messages cannot be got from it here.");
  return [may.get && getSection(view), may.move && moveSection(view)];
}
