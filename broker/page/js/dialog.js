// Dialogs that ask before something is done, and messages about what was done.

import { h, render } from "./dom.js";

/**
 * Opens a dialog and returns a promise of what its button returned, or undefined if it was closed. `content` is a description
 * or a function of a redraw function; `action` runs when the button is pressed: if it throws, its message is shown in the dialog.
 * With `danger` the focus begins on Cancel.
 */
export function dialog({ title, content, button, danger, action, wide }) {
  return new Promise((resolve) => {
    const place = document.createElement("dialog");
    place.setAttribute("aria-labelledby", "dialog-title");
    if (wide) place.className = "wide";
    document.body.append(place);
    let [busy, failure, result] = [false, null, undefined];
    const opener = document.activeElement;
    const draw = () => render(place, h("form", { method: "dialog", onsubmit: submit, onkeydown, autocomplete: "off" },
      h("h2#dialog-title", title),
      typeof content === "function" ? content(draw) : content,
      failure && h("p.error", { role: "alert" }, failure),
      h("div.buttons",
        h("button.plain", { type: "button", onclick: () => place.close() }, button ? "Cancel" : "Close"),
        // Not disabled while it is busy: it would lose the focus.
        button && h(danger ? "button.danger" : "button.primary", { type: "submit", "aria-disabled": busy ? "true" : undefined }, busy ? "…" : button))));
    // Enter on a box would press the button.
    function onkeydown(event) {
      if (event.key === "Enter" && event.target.type === "checkbox") event.preventDefault();
    }
    async function submit(event) {
      event.preventDefault();
      if (busy) return;
      [busy, failure] = [true, null];
      draw();
      try {
        result = await action(event.target);
        place.close();
      } catch (error) {
        [busy, failure] = [false, error.message];
        draw();
      }
    }
    // What it asks about is on the page that is left.
    const leave = () => place.close();
    window.addEventListener("hashchange", leave);
    place.addEventListener("close", () => {
      window.removeEventListener("hashchange", leave);
      place.remove();
      if (opener?.isConnected) opener.focus();
      resolve(result);
    });
    draw();
    place.showModal();
    // Enter that is pressed twice must not do what cannot be undone.
    place.querySelector(danger ? ".buttons button" : "[autofocus], input, select, textarea")?.focus();
  });
}

/** Asks before something that cannot be undone; `question` says what and how many. */
export function confirm({ title, question, button, action }) {
  return dialog({ title, content: h("p", question), button, danger: true, action: async () => (await action()) ?? true });
}

/** Asks, does it, says that it is done, and asks the broker again or goes to another view. */
export async function sure(view, { done, to, ...question }) {
  if (!(await confirm({ button: "Remove", ...question }))) return;
  notify(done);
  to ? view.go(to) : view.reload();
}

/** Says for some seconds what was done, or for longer what failed. */
export function notify(text, isError = false) {
  const place = document.getElementById("notices");
  const note = document.createElement("p");
  note.textContent = text;
  if (isError) note.className = "error";
  place.append(note);
  setTimeout(() => note.remove(), isError ? 12000 : 5000);
}
