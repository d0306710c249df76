"""A worker with the mistake everyone makes once: it never acknowledges."""
import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost"))
channel = connection.channel()
channel.queue_declare(queue="task_queue", durable=True)


def handle(ch, method, properties, body):
    print("received %s redelivered=%s" % (body.decode(), method.redelivered))


channel.basic_consume(queue="task_queue", on_message_callback=handle)
print("waiting")
channel.start_consuming()
