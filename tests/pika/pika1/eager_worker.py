"""A worker without prefetch: acknowledges, but is given whatever there is, in turn."""
import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.queue_declare(queue="task_queue", durable=True)


def handle(ch, method, properties, body):
    print("received %s redelivered=%s" % (body.decode(), method.redelivered))
    time.sleep(body.count(b"."))
    print("done %s" % body.decode())
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_consume(queue="task_queue", on_message_callback=handle)
print("waiting")
channel.start_consuming()
