"""Publishes until it has been blocked and goes on again, and says so."""

import sys
import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.queue_declare(queue="blocked")


def blocked(*arguments):
    # pika 1 hands over the connection and the frame, pika 0 the frame alone.
    print("blocked:", arguments[-1].method.reason)


def unblocked(*_arguments):
    print("unblocked")
    connection.close()
    sys.exit()


connection.add_on_connection_blocked_callback(blocked)
connection.add_on_connection_unblocked_callback(unblocked)
print("connected")
while True:
    channel.basic_publish(exchange="", routing_key="blocked", body="message")
    connection.process_data_events()
    time.sleep(0.1)
