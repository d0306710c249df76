// What to type to see a first message move.

import { h } from "../dom.js";

const LINES = (host) => `import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("${host}"))
channel = connection.channel()
channel.queue_declare("hello", durable=True)
channel.basic_publish("", "hello", b"Hello World!", pika.BasicProperties(delivery_mode=2))
connection.close()`;

/** A sentence and the program, for a page that is empty still. */
export function firstMessage() {
  return [h("p", "Nothing has happened on this broker yet. ", h("code", "pip install pika"), ", then run:"), h("pre", LINES(location.hostname)), h("p.help", "The queue and its message appear here within five seconds.")];
}
