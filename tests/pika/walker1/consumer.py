"""As walker: takes tasks one at a time (prefetch 1), works a second for each dot, then acknowledges."""
import time

import pika

credentials = pika.PlainCredentials("walker", "123456")
parameters = pika.ConnectionParameters(host="127.0.0.1", credentials=credentials)
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.queue_declare(queue="task_queue", durable=True)


def handle(ch, method, properties, body):
    print("received %s redelivered=%s" % (body.decode(), method.redelivered))
    time.sleep(body.count(b"."))
    print("done %s" % body.decode())
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue="task_queue", on_message_callback=handle)
print("waiting")
channel.start_consuming()
