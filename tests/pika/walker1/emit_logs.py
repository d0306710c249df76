"""As walker: sends one line to everyone who listens to the fanout exchange `logs`."""
import sys

import pika

credentials = pika.PlainCredentials("walker", "123456")
parameters = pika.ConnectionParameters(host="127.0.0.1", credentials=credentials)
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.exchange_declare(exchange="logs", exchange_type="fanout")
line = " ".join(sys.argv[1:]) or "info: Hello World!"
channel.basic_publish(exchange="logs", routing_key="", body=line)
print("sent %s" % line)
connection.close()
