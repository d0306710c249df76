"""Takes tasks one at a time from a durable queue and acknowledges each when it is done."""
import time

import pika


def init_connection():
    connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
    return connection, connection.channel()


def receive_message(channel):
    channel.queue_declare(queue="hello", durable=True)
    print("waiting")
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(callback, queue="hello")
    channel.start_consuming()


def callback(ch, method, properties, body):
    print("received %s redelivered=%s" % (body.decode(), method.redelivered))
    time.sleep(body.count(b"."))
    print("done %s" % body.decode())
    ch.basic_ack(delivery_tag=method.delivery_tag)


if __name__ == "__main__":
    connection, channel = init_connection()
    receive_message(channel)
