// The form that opens a session.

import { h } from "../dom.js";
import { signIn } from "../api.js";
import { field } from "../form.js";

/** The form; `signedIn` is called with the session. `why` says why it is asked for anew, `name` who was signed in. */
export function signInForm(signedIn, why, name) {
  async function submit(event) {
    event.preventDefault();
    const form = event.target;
    const { username, password } = form.elements;
    const alert = form.querySelector("[role=alert]");
    const button = form.querySelector("button");
    [button.disabled, alert.textContent] = [true, ""];
    try {
      signedIn(await signIn(username.value, password.value));
    } catch (error) {
      alert.textContent = error.status === 401 && /login failed/i.test(error.message) ? "This user name or password is wrong." : error.message;
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }
  return h("main.signin",
    h("form", { onsubmit: submit },
      h("img", { src: "page/leveret.svg", alt: "", width: 56, height: 56 }),
      h("h1", { tabindex: -1 }, "Leveret"),
      why && h("p.notice", { role: "status" }, why),
      field("User name", h("input", { name: "username", value: name ?? "", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false", onmount: (input) => name === undefined && input.focus() })),
      field("Password", h("input", { name: "password", type: "password", onmount: (input) => name !== undefined && input.focus(), autocomplete: "current-password" })),
      h("p.error", { role: "alert" }),
      h("button.primary", { type: "submit" }, "Sign in")));
}
