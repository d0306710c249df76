// What to type to see a first message move.

import { h } from "../dom.js";

/** Asks once for the port that clients connect to, where the user may see it. */
export async function loadPort(view) {
  if (view.state.port !== undefined) return;
  const { listeners = [] } = view.may("monitoring") ? await view.get("/overview?columns=listeners") : {};
  view.state.port = listeners.find(({ protocol }) => protocol === "amqp")?.port ?? null;
}

// pika's own values are port 5672 and the user guest, who may connect from the broker's machine only.
function parameters({ state: { port, vhosts = ["/"] }, user: { name } }) {
  const host = location.hostname;
  const isGuest = name === "guest" && /^(localhost|127\..*|\[?::1\]?)$/.test(host);
  return [
    JSON.stringify(host.replace(/^\[|\]$/g, "")), port && port !== 5672 && `port=${port}`,
    vhosts.length > 0 && !vhosts.includes("/") && `virtual_host=${JSON.stringify(vhosts[0])}`,
    !isGuest && `credentials=pika.PlainCredentials(${JSON.stringify(name === "guest" ? "your user" : name)}, "your password")`,
  ].filter(Boolean).join(", ");
}

/** A program that connects with pika and does something then; what `loadPort` has asked for is in it. */
export function program(view, ...lines) {
  return [
    h("pre", ["import pika", "", `connection = pika.BlockingConnection(pika.ConnectionParameters(${parameters(view)}))`, ...lines].join("\n")),
    !view.state.port && h("p.help", "Add ", h("code", "port=…"), " if it is not 5672."),
  ];
}

const HELLO = [
  "channel = connection.channel()", 'channel.queue_declare("hello", durable=True)',
  'channel.basic_publish("", "hello", b"Hello World!", pika.BasicProperties(delivery_mode=2))', "connection.close()",
];

/** A sentence and the program, for a page that is empty still. */
export function firstMessage(view) {
  return [h("p", "Nothing has happened on this broker yet. ", h("code", "pip install pika"), ", then run:"), program(view, ...HELLO), h("p.help", "The queue and its message appear here within five seconds.")];
}
