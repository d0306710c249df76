"""Sends a mail that cannot be delivered, and lets the queue do the retries."""
import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()

channel.queue_declare("mail.failed", durable=True)
channel.queue_declare("mail", durable=True, arguments={
    "x-queue-type": "quorum",
    # A message that is rejected is ready again after 1 s, 2 s, 3 s ... and at most 5 minutes.
    "x-delayed-retry-type": "failed",
    "x-delayed-retry-min": 1000,
    "x-delayed-retry-max": 300000,
    # After the third failure it is a dead letter.
    "x-delivery-limit": 2,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": "mail.failed",
})


def handle(ch, method, properties, body):
    failures = (properties.headers or {}).get("x-delivery-count", 0)
    print("try %s, %d failures before, after %d s" % (body.decode(), failures, time.time() - started))
    try:
        raise ConnectionError("no mail server")
    except ConnectionError:
        ch.basic_reject(method.delivery_tag, requeue=True)


def give_up(ch, method, properties, body):
    print("gave up %s: %s" % (body.decode(), properties.headers["x-first-death-reason"]))
    ch.basic_ack(method.delivery_tag)
    ch.stop_consuming()


channel.basic_qos(prefetch_count=10)
channel.basic_consume("mail", handle)
channel.basic_consume("mail.failed", give_up)
started = time.time()
channel.basic_publish("", "mail", b"hello", pika.BasicProperties(delivery_mode=2))
channel.start_consuming()
connection.close()
