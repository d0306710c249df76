// One message that was got from a queue: properties, headers, how it died, and its body.

import { h } from "../dom.js";
import { download } from "../api.js";
import { asText, hex, indented } from "../bodies.js";
import { bytes, count, duration, plural } from "../format.js";
import { exchangeLink, queueLink } from "../links.js";
import { facts, since } from "./parts.js";

// So much of a body is shown; a browser with megabytes in one element is slow.
const SHOWN = 256 * 1024;
const HEX_SHOWN = 16 * 1024;
const ABOUT_DEATH = /^x-(death|(first|last)-death-(queue|reason|exchange))$/;

const isTime = (seconds) => Number.isFinite(seconds) && Math.abs(seconds) < 8e12;

const REASONS = {
  rejected: (queue) => ["Rejected by a consumer of ", queue],
  expired: (queue) => ["Expired in ", queue],
  maxlen: (queue) => ["Left ", queue, ", which was full,"],
  delivery_limit: (queue) => ["Failed too often in ", queue, " (delivery limit)"],
};

function death(vhost, entry, index) {
  const { reason, queue, count: times = 1, time, exchange, "routing-keys": given, "original-expiration": expiration } = entry;
  const keys = Array.isArray(given) ? given : [];
  // Publishers can write this header, too, with anything in it.
  const words = (Object.hasOwn(REASONS, reason) ? REASONS[reason] : (queue) => [`Died (${reason}) in `, queue])(queueLink(vhost, `${queue ?? ""}`));
  return h("li", { key: index },
    words, times > 1 ? ` ${count(times)} times` : " once",
    isTime(time) && [times > 1 ? ", first " : ", ", since(time * 1000), " ago"],
    ". It had come through ", exchangeLink(vhost, `${exchange ?? ""}`), keys.length > 0 && [keys.length === 1 ? " with the key " : " with the keys ", keys.map((key, at) => [at > 0 && ", ", h("code", { key: at, dir: "auto" }, String(key) || "(empty)")])], ".",
    expiration !== undefined && ` Its own time to live was ${duration(Number(expiration))}.`);
}

function deaths(vhost, headers) {
  const all = headers["x-death"];
  if (!Array.isArray(all) || !all.every((entry) => entry && typeof entry === "object")) return null;
  return h("div.deaths", h("h3", `Dead-lettered${all.length > 1 ? ", latest first" : ""}`), h("ol", all.map((entry, index) => death(vhost, entry, index))),
    h("details", h("summary", "The x-death header as it is"), headerTable(headers, Object.keys(headers).filter((name) => ABOUT_DEATH.test(name)))));
}

function headerValue(value) {
  const isObject = typeof value === "object" && value !== null && !JSON.isRawJSON?.(value);
  if (isObject) return h("pre", JSON.stringify(value, null, 2));
  return h("span.mono", { dir: "auto" }, typeof value === "string" ? value || "(empty)" : JSON.stringify(value));
}

function properties(vhost, { properties: given }) {
  const { headers = {}, ...others } = Array.isArray(given) ? {} : given;
  const written = {
    delivery_mode: (mode) => (mode === 2 ? "2, persistent" : `${mode}, transient`),
    timestamp: (seconds) => (isTime(seconds) ? [`${seconds}, `, since(seconds * 1000), " ago"] : String(seconds)),
    expiration: (time) => `${time} ms (${duration(Number(time))})`,
    reply_to: (name) => (name.startsWith("amq.rabbitmq.reply-to") ? name : queueLink(vhost, name)),
  };
  const names = Object.keys(others);
  const died = deaths(vhost, headers);
  const shown = Object.keys(headers).filter((name) => !died || !ABOUT_DEATH.test(name));
  return [
    died,
    h("div.columns",
      h("div", h("h3", "Properties"), names.length ? facts(...names.map((name) => [name, h("span", { dir: "auto" }, written[name]?.(others[name]) ?? String(others[name]))])) : h("p.faint", "none")),
      h("div", h("h3", "Headers"), shown.length ? headerTable(headers, shown) : h("p.faint", died ? "no others" : "none"))),
  ];
}

function headerTable(headers, names) {
  return facts(...names.map((name) => [name, headerValue(headers[name])]));
}

function bodyAs(form, body, isCut) {
  if (form === "hex") return [h("pre.hex", { tabindex: 0 }, hex(body.subarray(0, HEX_SHOWN))), body.length > HEX_SHOWN && h("p.help", `The first ${bytes(HEX_SHOWN)} are shown; the download has all.`)];
  const text = asText(body, isCut);
  const shown = form === "json" ? indented(text) : text;
  return [h("pre", { tabindex: 0, dir: "auto" }, shown.slice(0, SHOWN)), shown.length > SHOWN && h("p.help", `The first ${count(SHOWN)} characters are shown; the download has all.`)];
}

function bodyPart(view, message) {
  const { body, payload_bytes: size, number } = message;
  if (size === 0) return [h("h3", "Body"), h("p.faint", "empty")];
  const isCut = body.length < size;
  const text = asText(body, isCut);
  const json = text !== null && !isCut && indented(text) !== null;
  const forms = [json && ["json", "JSON"], text !== null && ["text", "Text"], ["hex", "Hex"]].filter(Boolean);
  const form = forms.find(([id]) => id === message.form)?.[0] ?? forms[0][0];
  const choose = (id) => { message.form = id; view.redraw(); };
  return [
    h("div.bar", h("h3", `Body, ${bytes(size)}`), isCut && h("span.badge.warn", `cut: the first ${bytes(body.length)}`),
      h("span.choice", { role: "group", "aria-label": `How to show the body of message ${number}` }, forms.map(([id, title]) => h("button", { key: id, type: "button", "aria-pressed": String(id === form), onclick: () => choose(id) }, title))),
      h("span.spring"),
      h("button.small", { type: "button", onclick: () => download(`message-${number}.${{ json: "json", text: "txt", hex: "bin" }[form]}`, body, "application/octet-stream") }, isCut ? "Download this part" : "Download")),
    bodyAs(form, body, isCut),
  ];
}

/** A message to open; what is closed costs nothing. */
export function messageItem(view, message) {
  const { vhost } = view.params;
  const { number, exchange, routing_key: key, payload_bytes: size, redelivered, message_count: left } = message;
  const headers = message.properties.headers ?? {};
  const dead = Array.isArray(headers["x-death"]);
  const failures = Number(headers["x-delivery-count"] ?? 0);
  return h("details.message", { key: message.id, open: message.open, ontoggle: (event) => { if (event.target.open !== message.open) { message.open = event.target.open; view.redraw(); } } },
    h("summary", h("b", `${number}. `), exchange ? h("span", { dir: "auto" }, exchange) : "default exchange", " → ", h("code", { dir: "auto" }, key || "(empty key)"), ` · ${bytes(size)} `,
      redelivered && h("span.badge.warn", "redelivered"), " ", dead && h("span.badge.bad", "dead-lettered"), " ", failures > 0 && h("span.badge.warn", `failed ${plural(failures, "time")}`)),
    message.open && h("div.parts",
      h("p.help", "It came through ", exchangeLink(vhost, exchange), `. ${plural(left, "message")} ${left === 1 ? "was" : "were"} behind it.`),
      readable(() => properties(vhost, message)),
      readable(() => bodyPart(view, message))));
}

// A message that this page cannot show must not hide the others, or the way to move and purge them.
function readable(show) {
  try {
    return show();
  } catch (error) {
    return h("p.error", `This part of the message cannot be shown here: ${error.message}.`);
  }
}
