// The log as it is written: the newest lines below, kept in the document without the frame's renderer, which would compare
// thousands of lines every second.

import { h } from "../dom.js";
import { withQuery } from "../api.js";
import { count, local, plural, zone } from "../format.js";

// What is kept, here and in the document.
const MOST = 5000;
const FIRST = 1000;
// So many answers in a row while the broker writes faster than one brings; a shorter one was the last.
const CATCH_UP = 3;
const SHORT = 500;
const LEVELS = [["TRACE", "everything"], ["DEBUG", "debug and above"], ["INFO", "info and above"], ["WARN", "warnings and errors"], ["ERROR", "errors"]];
const RANKS = Object.fromEntries(LEVELS.map(([level], rank) => [level, rank]));
const TEXT = /^(\S+)(\s+)(ERROR|WARN|INFO|DEBUG|TRACE)\b/;

// A line of the JSON format, written as one of the text format.
function asText(line) {
  if (!line.startsWith('{"timestamp"')) return line;
  try {
    const { timestamp, level, fields: { message, ...others } } = JSON.parse(line);
    return [timestamp, level.padStart(5), message, ...Object.entries(others).map(([name, value]) => `${name}=${JSON.stringify(value)}`)].join(" ");
  } catch {
    return line;
  }
}

/** Returns the parts of a line: its time, the gap, its level and the rest. Lines without a level have that of the one before. */
function parse(line, before) {
  const text = asText(line);
  const [whole, utc, gap, level] = TEXT.exec(text) ?? [];
  if (level) {
    const milliseconds = Date.parse(utc);
    const time = Number.isFinite(milliseconds) ? local(milliseconds) + (/\.\d{1,3}/.exec(utc)?.[0] ?? "") : utc;
    return { text: time + text.slice(utc.length), utc, time, gap, level, rest: text.slice(whole.length) };
  }
  return { text, level: before ?? "INFO" };
}

/** The lines that are known, and the element that shows them. */
class Tail {
  lines = [];
  // How many of the lines are in the document or were filtered out; the others wait until somebody follows again.
  done = 0;
  next = undefined;
  missed = 0;
  following = true;
  filter = () => true;
  box = null;

  /** Takes the lines of an answer. */
  add({ lines, next, missed }) {
    if (this.next !== undefined && missed > 0) {
      this.missed += missed;
      this.lines.push({ gap: missed });
    }
    this.next = next;
    for (const text of lines) this.lines.push(parse(text, this.lines.at(-1)?.level));
    if (this.following) this.forget();
  }

  /** Drops the oldest lines of too many. */
  forget() {
    const gone = this.lines.splice(0, Math.max(0, this.lines.length - MOST));
    for (const { element } of gone) element?.remove();
    this.done = Math.max(0, this.done - gone.length);
  }

  get waiting() {
    return this.lines.length - this.done;
  }

  /** Whether further lines would take the place of those that are being read: then the broker keeps them. */
  get full() {
    return !this.following && this.lines.length > MOST - FIRST;
  }

  /** Puts the lines that wait into the document, and goes to the end. */
  show() {
    if (!this.box) return;
    this.forget();
    const some = document.createDocumentFragment();
    for (const line of this.lines.slice(this.done)) {
      if (!line.text || this.filter(line)) some.append((line.element = line.text ? elementOf(line) : gapElement(line)));
    }
    this.done = this.lines.length;
    this.box.append(some);
    if (this.following) this.scroll(this.box.scrollHeight);
  }

  /** Scrolls, and remembers that it was not the reader who did. */
  scroll(top) {
    this.box.scrollTop = top;
    this.scrolled = this.box.scrollTop;
  }

  /** Begins anew: another filter, or another element. */
  refill() {
    this.box?.replaceChildren();
    for (const line of this.lines) line.element = undefined;
    this.done = 0;
    this.show();
    if (this.box) this.scroll(this.box.scrollHeight);
  }

  follow(on) {
    this.following = on;
    if (on) this.show();
  }
}

function elementOf({ text, utc, time, gap, level, rest }) {
  const line = document.createElement("div");
  line.className = `line ${level.toLowerCase()}`;
  if (time === undefined) {
    line.textContent = text;
    return line;
  }
  const part = (name, content) => {
    const span = document.createElement("span");
    [span.className, span.textContent] = [name, content];
    return span;
  };
  const when = part("time", time);
  when.title = utc;
  line.append(when, gap, part("level", level), rest);
  return line;
}

function gapElement({ gap }) {
  const line = document.createElement("div");
  line.className = "line gap";
  line.textContent = `… ${plural(gap, "line")} missed: the broker wrote faster than this page reads …`;
  return line;
}

function filterOf({ level = "TRACE", text = "" }) {
  const [least, wanted] = [RANKS[level] ?? 0, text.toLowerCase()];
  return (line) => RANKS[line.level] >= least && (!wanted || line.text.toLowerCase().includes(wanted));
}

// The lines go on where they were when the view is drawn again.
function mount(view, box) {
  const { tail } = view.state;
  tail.box = box;
  box.onscroll = () => {
    if (box.scrollTop === tail.scrolled) return;
    tail.scrolled = undefined;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 4;
    if (atEnd === tail.following) return;
    // Who scrolls up wants to read, who comes to the end wants to go on.
    tail.follow(atEnd);
    view.redraw();
  };
  tail.refill();
}

async function load(view) {
  const tail = (view.state.tail ??= new Tail());
  for (let turn = 0; turn < CATCH_UP && !tail.full; turn += 1) {
    const first = tail.next === undefined;
    const answer = await view.get(withQuery("/log", first ? { lines: FIRST } : { after: tail.next }));
    tail.add(answer);
    if (first || answer.lines.length < SHORT) break;
  }
  if (tail.following) tail.show();
  return tail;
}

let typing;

function controls(view) {
  const { tail } = view.state;
  const { level = "TRACE", text = "" } = view.query;
  // Both at once: one may change while the other waits.
  const change = (event, delay) => {
    const [input, select] = event.target.parentElement.querySelectorAll("input, select");
    clearTimeout(typing);
    typing = setTimeout(() => view.go(view.link({ text: input.value || undefined, level: select.value === "TRACE" ? undefined : select.value }), { replace: true }), delay);
  };
  const waiting = tail.waiting ? ` (${plural(tail.waiting, "new line")})` : "";
  return h("div.bar",
    h("input", { type: "search", value: text, placeholder: "Lines with …", "aria-label": "Show lines with this text", "data-shortcut": "/", oninput: (event) => change(event, 250) }),
    h("select", { "aria-label": "Least level", value: level, onchange: (event) => change(event, 0) }, LEVELS.map(([value, title]) => h("option", { value, key: value }, title))),
    h("span.spring"),
    h("button", { type: "button", "aria-pressed": String(!tail.following), onclick: () => { tail.follow(!tail.following); view.redraw(); } }, tail.following ? "Pause" : `Follow${waiting}`));
}

function status(tail, filtered) {
  const shown = tail.lines.reduce((sum, { element, text }) => sum + (element && text ? 1 : 0), 0);
  return h("p.found",
    filtered ? `${count(shown)} of the last ${plural(tail.lines.length, "line")} match. ` : `The last ${plural(tail.lines.length, "line")}. `,
    tail.full && "The broker keeps the lines that come meanwhile, as many as it has room for. ",
    tail.missed > 0 && h("b", `${plural(tail.missed, "line")} missed. `),
    `Times are those of ${zone}, and in UTC below the pointer; “leveretctl set_log_level debug” makes the broker say more.`);
}

export const routes = [{
  path: "/log",
  title: "Log",
  interval: 1000,
  load,
  render(view) {
    const { tail } = view.state;
    const key = JSON.stringify([view.query.level, view.query.text]);
    if (view.state.filtered !== key) {
      view.state.filtered = key;
      tail.filter = filterOf(view.query);
      tail.refill();
    }
    return [
      controls(view),
      h("div.log", { key: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Lines of the log", onmount: (box) => mount(view, box) }),
      status(tail, view.query.level || view.query.text),
    ];
  },
}];
