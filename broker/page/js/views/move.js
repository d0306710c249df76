// Moving messages to another queue, some thousands a request, until all are moved or somebody stops it.

import { h } from "../dom.js";
import { path, post, withQuery } from "../api.js";
import { field, text } from "../form.js";
import { count, plural } from "../format.js";
import { queueLink } from "../links.js";

let typing;

// Suggests queues of which the name has what was typed.
function suggest(view, typed) {
  clearTimeout(typing);
  typing = setTimeout(async () => {
    try {
      const address = withQuery(path`/queues/${view.params.vhost}`, { page: 1, page_size: 20, name: typed, columns: "name,type" });
      view.state.targets = (await view.get(address, { signal: undefined })).items.map(({ name }) => name).filter((name) => name !== view.params.name);
      view.redraw();
    } catch {
      // Without suggestions, then.
    }
  }, 250);
}

async function move(view, event) {
  event.preventDefault();
  if (view.state.move?.running) return;
  const { vhost, name } = view.params;
  const { elements } = event.target;
  const { messages_ready: ready } = view.data.queue;
  const wanted = elements.amount.value ? Number(elements.amount.value) : ready;
  // What is published meanwhile stays: with a busy publisher it would never end.
  const task = (view.state.move = { destination: elements.destination.value, wanted: Math.min(wanted, ready), moved: 0, running: true, stopped: false, failure: null });
  view.redraw();
  const isHere = () => location.hash.split("?")[0] === view.here;
  while (task.moved < task.wanted && !task.stopped && isHere()) {
    try {
      const { moved, remaining, destination_full: isFull } = await post(path`/queues/${vhost}/${name}/move`, { destination: task.destination, count: task.wanted - task.moved });
      task.moved += moved;
      if (isFull) task.failure = `${task.destination} is full and refuses more. Raise its limit, or let it be consumed.`;
      if (isFull || moved === 0 || remaining === 0) break;
    } catch (error) {
      task.failure = error.message;
      break;
    }
    view.state.redraw();
  }
  task.running = false;
  view.state.reload();
}

function progress(view, vhost, task) {
  const { destination, wanted, moved, running, stopped, failure } = task;
  const less = !running && !failure && !stopped && moved < wanted && " There were no more ready messages.";
  return h("div.moving",
    h("progress", { max: Math.max(1, wanted), value: moved, "aria-label": "Messages moved" }),
    h("p", { role: "status" }, `${count(moved)} of ${plural(wanted, "message")} moved to `, queueLink(vhost, destination), stopped ? ". Stopped." : ".", less),
    running && [h("p.help", "It goes on while this page is open."), h("button", { type: "button", onclick: () => { task.stopped = true; view.redraw(); } }, "Stop")],
    failure && h("p.error", { role: "alert" }, failure));
}

/** The section of a queue's page. */
export function moveSection(view) {
  const { state, params, data } = view;
  // Another query makes another view of the same page: the loop above draws the one that is open.
  Object.assign(state, { redraw: view.redraw, reload: view.reload });
  const ready = data.queue.messages_ready ?? 0;
  const running = state.move?.running;
  return h("section", h("h2", "Move messages to another queue"),
    h("p.help", "Moves messages from the head of this queue, unchanged, to another one of this virtual host. Leaving and arriving are one write: even if the broker stops meanwhile, none is lost and none is in both."),
    h("form.fields", { onsubmit: (event) => move(view, event), autocomplete: "off" },
      h("div", { key: "to" }, field("To the queue", h("input", { type: "text", name: "destination", list: "move-targets", required: true, spellcheck: "false", autocomplete: "off", onfocus: (event) => suggest(view, event.target.value), oninput: (event) => suggest(view, event.target.value) })),
        h("datalist#move-targets", (state.targets ?? []).map((name) => h("option", { key: name, value: name })))),
      h("div", { key: "amount" }, text("How many", "amount", `All ${count(ready)} that are ready, unless you say less.`, { type: "number", min: 1, placeholder: count(ready) })),
      h("div.buttons.start", { key: "button" }, h("button.primary", { type: "submit", disabled: !running && ready === 0, "aria-disabled": running ? "true" : undefined }, "Move"))),
    state.move && progress(view, params.vhost, state.move));
}
