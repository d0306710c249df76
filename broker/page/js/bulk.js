// Dialogs that do one thing to many objects, with a bar that shows how far it is and the names of those that failed.

import { h } from "./dom.js";
import { forEach } from "./api.js";
import { dialog } from "./dialog.js";
import { count, plural } from "./format.js";

const NAMED = 8;
const FAILED = 100;

/** The first names of many, as a list, and how many more there are. */
export function nameList(names) {
  const more = names.length - NAMED;
  return h("ul.names", names.slice(0, NAMED).map((name, index) => h("li", { key: index, dir: "auto" }, name || "(empty name)")), more > 0 && h("li.faint", `and ${count(more)} more`));
}

/**
 * Asks, then does `action(item, form)` for each item. What fails is named in the dialog, and only that is done when the
 * button is pressed again. Closing the dialog stops it. Returns how many were done. `question` is a description or a function of
 * a redraw function; `check(form)` throws before anything is done.
 */
export async function bulk({ title, question, button, danger, items, name, noun, wide, check, action }) {
  let [waiting, failed, finished, running, stopped, redraw] = [items, [], 0, false, false, null];
  const one = async (item, form) => {
    if (stopped) return;
    await action(item, form);
    finished += 1;
    redraw();
  };
  await dialog({
    title, button, danger, wide,
    content: (draw) => {
      redraw = draw;
      return [
        h("div.question", { key: "question" }, typeof question === "function" ? question(draw) : question),
        (running || finished > 0) && h("div", { key: "progress" },
          h("progress", { max: items.length, value: finished, "aria-label": "Done" }),
          h("p.help", { role: "status" }, `${count(finished)} of ${plural(items.length, noun)} done.`)),
        failed.length > 0 && h("ul.failures", { key: "failures" }, failed.slice(0, FAILED).map(({ item, error }) => h("li", { key: name(item) }, h("b", { dir: "auto" }, name(item)), `: ${error.message}`))),
      ];
    },
    async action(form) {
      check?.(form);
      [running, failed] = [true, []];
      redraw();
      failed = await forEach(waiting, (item) => one(item, form));
      [running, waiting] = [false, failed.map(({ item }) => item)];
      if (failed.length) throw new Error(`${plural(failed.length, noun)} could not be done. ${button} tries ${failed.length === 1 ? "it" : "them"} again.`);
    },
  });
  stopped = true;
  return finished;
}
