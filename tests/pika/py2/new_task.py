"""Sends one persistent task; a single argument is joined by dots, letter by letter."""
import sys

import pika


def init_connection():
    connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
    return connection, connection.channel()


def send_message(connection, channel, message):
    channel.queue_declare(queue="hello", durable=True)
    channel.basic_publish(
        exchange="",
        routing_key="hello",
        body=message,
        properties=pika.BasicProperties(delivery_mode=2),
    )
    print("sent %s" % message)
    connection.close()


if __name__ == "__main__":
    message = "Hello World!" if len(sys.argv) == 1 else ".".join(sys.argv[1])
    send_message(*init_connection(), message)
