"""Listens to the fanout exchange `logs` through an exclusive queue that the broker names."""
import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.exchange_declare(exchange="logs", exchange_type="fanout")
queue = channel.queue_declare(exclusive=True).method.queue
channel.queue_bind(exchange="logs", queue=queue)


def handle(ch, method, properties, body):
    print("received %s" % body.decode())


channel.basic_consume(handle, queue=queue, no_ack=True)
print("waiting on %s" % queue)
channel.start_consuming()
