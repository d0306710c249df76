"""Connects with TLS, publishes and gets a message, and says what was agreed on.

session.py PORT CA VERSION [CERTIFICATE]
"""

import os
import ssl
import sys

import pika

port, authority, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=authority)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
credentials = pika.PlainCredentials("guest", "guest")
if len(sys.argv) > 4:
    context.load_cert_chain(sys.argv[4])
    credentials = pika.credentials.ExternalCredentials()
connection = pika.BlockingConnection(
    pika.ConnectionParameters(
        "127.0.0.1",
        port,
        credentials=credentials,
        ssl_options=pika.SSLOptions(context, "localhost"),
    )
)
channel = connection.channel()
queue = channel.queue_declare("", exclusive=True).method.queue
channel.confirm_delivery()
body = os.urandom(3_000_000)
channel.basic_publish("", queue, body)
got = channel.basic_get(queue, auto_ack=True)[2]
print("equal" if got == body else "not equal")
connection.close()
