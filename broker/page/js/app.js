// The page as a whole: who is signed in, which view the address names, and the rhythm in which it asks the broker.

import { h, render } from "./dom.js";
import * as api from "./api.js";
import { drawSince } from "./chart.js";
import { duration } from "./format.js";
import { notify } from "./dialog.js";
import { navigation, routesOf } from "./routes.js";
import { signInForm } from "./views/signin.js";

// The broker takes samples every five seconds.
const INTERVAL = 5000;
// An answer that takes longer is missed, and is not waited for any more after a while: the connection may be dead.
const LATE = 5000;
const LOST = 30000;
// How often is asked whether an alarm is in force.
const ALARM_INTERVAL = 60000;
// A hidden page only keeps its session alive.
const HIDDEN_INTERVAL = 60000;

const ENDED = "Your session has ended: the broker was restarted, or you were signed out or replaced elsewhere. Sign in to go on.";

const app = document.getElementById("app");
const signIn = document.createElement("div");
let user = null;
let view = null;
// What somebody looked at whose session has ended: it comes back, with what was typed, when the same user signs in.
let left = null;
// Whether an alarm is in force, as far as the user may know, and when that was asked.
let alarm = false;
let alarmAsked = 0;

/** What a view's functions get: where it is, what it knows, and what it can do. */
function open(address, [route, params, query]) {
  const place = address.split("?")[0];
  const one = {
    address, here: place, route, params, query, user, go,
    state: {}, data: undefined, error: null, answered: 0, asked: null, tried: 0, busy: null,
    /** Whether the user has one of these tags, or is administrator. */
    may: (...tags) => [...tags, "administrator"].some((tag) => user.tags.includes(tag)),
    get: (address, options) => api.get(address, { signal: one.busy?.signal, ...options }),
    redraw: () => one === view && draw(),
    /** The address of this view with other query parameters. */
    link: (changes) => api.withQuery(place, { ...query, ...changes }),
    /** Does something, says so, and asks the broker again. */
    act: async (action, done) => {
      try {
        const result = await action();
        const text = typeof done === "function" ? done(result) : done;
        if (text) notify(text);
        return result;
      } catch (error) {
        notify(error.message, true);
      } finally {
        if (one === view) load(one);
      }
    },
    reload: () => one === view && load(one),
  };
  return one;
}

/** Goes to another view, or asks anew for the one that is shown; `replace` leaves no step in the history. */
export function go(address, { replace } = {}) {
  if (replace) {
    history.replaceState(null, "", address);
    show();
  } else if (address === location.hash) load(view);
  else location.hash = address.slice(1);
}

function resolve(address, routes) {
  const [path, query] = address.slice(1).split("?");
  const parts = path.split("/").filter((part, index) => part || index > 1).map(decode);
  if (parts.length === 0) parts.push("");
  for (const route of routes) {
    const names = route.path.split("/").slice(1);
    if (names.length !== parts.length || !names.every((name, index) => name[0] === ":" || name === parts[index])) continue;
    const parameters = names.map((name, index) => [name, parts[index]]).filter(([name]) => name[0] === ":");
    return [route, Object.fromEntries(parameters.map(([name, value]) => [name.slice(1), value])), Object.fromEntries(new URLSearchParams(query))];
  }
  return [{ path: "", title: "Not found", load: async () => null, render: () => h("p.empty", "There is no such page. ", h("a", { href: "#/" }, "Overview")) }, {}, {}];
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What stands for a view whose module could not be had: as any view it has missed an answer, and asks again. */
function unloaded(address) {
  const word = firstWord(address);
  const { path = "", title = "Leveret" } = navigation.find((entry) => entry.path === `/${word}`) ?? {};
  const load = async (one) => {
    await Promise.resolve(routesOf(word)).catch(retry);
    if (one === view) show();
  };
  return [{ path, title, load, render: () => null }, {}, {}];
}

// The broker answers, and the module is still not there: some browsers try only once, until the page is loaded anew.
async function retry() {
  await api.restore();
  if (performance.now() > LOST) location.reload();
  throw new api.ApiError(0, "The page is not complete.");
}

const currentAddress = () => location.hash || "#/";
const firstWord = (address) => address.slice(2).split(/[/?]/)[0];

/** Shows the view that the address names, once its module is there. */
async function show() {
  const address = currentAddress();
  let routes = routesOf(firstWord(address));
  if (routes instanceof Promise) {
    routes = await routes.catch(() => null);
    // Somebody has gone elsewhere, or another turn was faster.
    if (!user || address !== currentAddress()) return;
  }
  const before = view;
  before?.busy?.abort();
  clearTimeout(before?.timer);
  view = open(address, routes ? resolve(address, routes) : unloaded(address));
  const sameView = before?.here === view.here;
  if (sameView) {
    // Only the query is another: what was there stays until the answer comes.
    Object.assign(view, { state: before.state, data: before.data, answered: before.answered });
  } else window.scrollTo(0, 0);
  draw();
  load(view);
  if (!sameView && before) document.querySelector("main h1")?.focus();
}

/** Asks the broker, and again after a while: the next time only after an answer, so that requests cannot pile up. */
async function load(one) {
  if (!user) return;
  one.busy?.abort();
  clearTimeout(one.timer);
  const busy = (one.busy = new AbortController());
  // An answer is missed since the first request without one.
  one.asked ??= Date.now();
  one.tried = Date.now();
  try {
    const data = await one.route.load(one);
    if (busy.signal.aborted || one !== view) return;
    Object.assign(one, { data, error: null, answered: Date.now(), asked: null });
  } catch (error) {
    if (busy.signal.aborted || error.name === "AbortError" || one !== view) return;
    Object.assign(one, { error, asked: null });
    if (!(error instanceof api.ApiError)) console.error(error);
  }
  draw();
  const wait = document.hidden ? HIDDEN_INTERVAL : (one.route.interval ?? INTERVAL);
  one.timer = setTimeout(() => one === view && load(one), wait);
}

function draw() {
  const [shown, other] = user ? [app, signIn] : [signIn, app];
  if (!shown.isConnected) other.replaceWith(shown);
  // The elements of what is left behind are kept: its forms have what was typed.
  if (user || !left) render(other);
  if (!user) {
    document.title = "Sign in – Leveret";
    return render(signIn, signInForm(signedIn, left && ENDED, left?.user.name));
  }
  if (!view) return;
  const { route, error, data } = view;
  const title = typeof route.title === "function" ? route.title(view) : route.title;
  document.title = `${title} – Leveret`;
  const known = data !== undefined && (!error || error.status === 0 || error.status >= 500);
  render(app,
    h("a.skip", { href: "#content", onclick: (event) => { event.preventDefault(); document.querySelector("main h1").focus(); } }, "Skip to the content"),
    header(),
    h("main#content", { class: silent() ? "stale" : undefined, "aria-busy": data === undefined && !error ? "true" : undefined },
      crumbs(title),
      h("div#connection", { role: "status" }, connection()),
      error && error.status !== 0 && h("p.error", { role: "alert" }, explain(error)),
      known ? body(route) : !error && h("p.loading", "Asking the broker…")));
}

function body(route) {
  try {
    return h("div.view", { key: view.here }, route.render(view));
  } catch (error) {
    console.error(error);
    return h("p.error", { role: "alert" }, `This page has a fault: ${error.message}`);
  }
}

function explain(error) {
  if (error.status === 404) return "It does not exist, or you have no permissions there.";
  if (error.status === 401 || error.status === 403) return /^Only /.test(error.message) ? error.message.replace("see or do this", "see this page") : `You may not see this: ${error.message}${/\.$/.test(error.message) ? "" : "."}`;
  return error.message;
}

/** Whether the broker cannot be reached, or does not answer. */
function silent() {
  return view?.error?.status === 0 || (view?.asked && Date.now() - view.asked > LATE);
}

function connection() {
  if (!silent()) return null;
  return view.answered ? `No answer for ${duration(Date.now() - view.answered)}: what you see is older. Trying again.` : "The broker does not answer. Trying again.";
}

async function watchAlarms() {
  alarmAsked = Date.now();
  try {
    const nodes = await api.get("/nodes?columns=mem_alarm,disk_free_alarm");
    const now = nodes.some((node) => node.mem_alarm || node.disk_free_alarm);
    if (now === alarm) return;
    alarm = now;
    draw();
  } catch {
    // What the view asks for fails, too, and says so.
  }
}

function watch() {
  if (user && view && !document.hidden && !silent() && view.may("monitoring") && Date.now() - alarmAsked > ALARM_INTERVAL) watchAlarms();
  if (!silent()) return;
  if (view.asked && Date.now() - view.tried > LOST) load(view);
  draw();
}

function header() {
  // The overview knows it sooner.
  const node = view.route.path === "/" && view.data?.node;
  if (node) alarm = Boolean(node.mem_alarm || node.disk_free_alarm);
  const current = view.route.section ?? view.route.path;
  const entries = navigation.filter(({ tags }) => !tags || view.may(...tags));
  return h("header",
    h("a.brand", { href: "#/", "aria-label": "Leveret: overview" }, h("img", { src: "page/leveret.svg", alt: "", width: 28, height: 28 }), h("span", "Leveret")),
    alarm && view.may("monitoring") && h("a.error", { href: "#/", key: "alarm" }, h("span", { "aria-hidden": "true" }, "⚠ "), "Alarm: publishers are blocked"),
    h("button.plain.menu", { type: "button", "aria-expanded": String(Boolean(view.state.menu)), "aria-controls": "navigation", onclick: () => { view.state.menu = !view.state.menu; draw(); } }, "Menu"),
    h("nav#navigation", { class: view.state.menu ? "open" : undefined, "aria-label": "Pages" }, h("ul", entries.map(({ path, title }) =>
      h("li", h("a", { href: `#${path}`, "aria-current": path === current ? "page" : undefined }, title))))),
    h("div.who",
      h("a", { href: "api/index.html", target: "_blank", rel: "noopener" }, "API"),
      theme(),
      h("span.user", { title: view.user.tags.join(", ") || "no tags" }, view.user.name),
      h("button.plain", { type: "button", onclick: leave }, "Sign out")));
}

function theme() {
  const themes = ["system", "light", "dark"];
  const chosen = document.documentElement.dataset.theme ?? "system";
  return h("select", { "aria-label": "Colours", value: chosen, onchange: (event) => setTheme(event.target.value) }, themes.map((name) => h("option", { value: name }, { system: "System colours", light: "Light", dark: "Dark" }[name])));
}

// The one thing that is remembered here.
function setTheme(name) {
  if (name === "light" || name === "dark") document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  try {
    name === "light" || name === "dark" ? localStorage.setItem("theme", name) : localStorage.removeItem("theme");
  } catch {
    // Without storage it lasts as long as the page.
  }
}

function crumbs(title) {
  const above = view.route.above?.(view) ?? [];
  return h("div.title", above.length > 0 && h("nav", { "aria-label": "Above" }, above.map(([address, name]) => [h("a", { href: address }, name), h("span", { "aria-hidden": "true" }, " › ")])), h("h1", { tabindex: -1 }, title), view.data && view.route.subtitle && h("p", { dir: "auto" }, view.route.subtitle(view)));
}

async function signedIn(session) {
  user = { name: session.name, tags: session.tags };
  drawSince(session.started_at);
  if (left?.user.name === user.name && left.view.address === currentAddress()) {
    view = Object.assign(left.view, { user, error: null, asked: null });
    draw();
    load(view);
  } else {
    // Nobody else gets what was typed.
    render(app);
    await show();
  }
  left = null;
  document.querySelector("main h1")?.focus();
}

async function leave() {
  try {
    await api.signOut();
  } finally {
    signedOut();
  }
}

function signedOut(ended = false) {
  if (!user) return;
  view?.busy?.abort();
  clearTimeout(view?.timer);
  left = ended && view ? { user, view } : null;
  [user, view] = [null, null];
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  draw();
}

async function start() {
  try {
    setTheme(localStorage.getItem("theme"));
  } catch {
    // The system's colours, then.
  }
  api.onSignedOut(() => signedOut(true));
  window.addEventListener("hashchange", () => user && show());
  document.addEventListener("visibilitychange", () => !document.hidden && view && load(view));
  document.addEventListener("keydown", shortcut);
  document.addEventListener("click", again);
  setInterval(watch, 1000);
  // Meanwhile the module of the first view comes; if it cannot be had, showing the view says so.
  Promise.resolve(routesOf(firstWord(currentAddress()))).catch(() => {});
  let session = null;
  try {
    session = await api.restore();
  } catch (error) {
    notify(error.message, true);
  }
  session ? signedIn(session) : draw();
}

/** A link to what is shown already: who clicks it because there was no answer wants one now. */
function again({ target }) {
  if (view?.error && target.closest?.("a")?.getAttribute("href") === location.hash) load(view);
}

function shortcut(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
  const field = document.querySelector('[data-shortcut="/"]');
  if (field) {
    event.preventDefault();
    field.focus();
  }
}

start();
