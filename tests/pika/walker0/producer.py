"""As walker: sends one persistent task to a durable queue."""
import sys

import pika

credentials = pika.PlainCredentials("walker", "123456")
parameters = pika.ConnectionParameters(host="127.0.0.1", credentials=credentials)
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.queue_declare(queue="task_queue", durable=True)
task = " ".join(sys.argv[1:]) or "Hello World!"
channel.basic_publish(
    exchange="",
    routing_key="task_queue",
    body=task,
    properties=pika.BasicProperties(delivery_mode=2),
)
print("sent %s" % task)
connection.close()
