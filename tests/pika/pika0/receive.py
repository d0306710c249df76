"""Hello world, the receiving half; no acknowledgements. A dot in the body is a second of work."""
import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.queue_declare(queue="hello")


def handle(ch, method, properties, body):
    print("received %s" % body.decode())
    time.sleep(body.count(b"."))
    print("done %s" % body.decode())


channel.basic_consume(handle, queue="hello", no_ack=True)
print("waiting")
channel.start_consuming()
