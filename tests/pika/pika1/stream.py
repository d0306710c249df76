"""Writes to a stream and reads it: from the start, from an offset, from a time, filtered."""

import datetime
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()


def declare(durable=True):
    channel.queue_declare("events", durable=durable, arguments={
        "x-queue-type": "stream",
        "x-max-age": "7D",
        "x-max-length-bytes": 1000000000,
    })


def write(first, last):
    channel.confirm_delivery()
    for number in range(first, last):
        headers = {"x-stream-filter-value": "odd" if number % 2 else "even"}
        properties = pika.BasicProperties(headers=headers)
        channel.basic_publish("", "events", str(number).encode(), properties)
    print("written")


def read(offset, count, **more):
    """Reads and acknowledges so many; says their bodies and the offset of the last."""
    reader = connection.channel()
    reader.basic_qos(prefetch_count=3)
    arguments = {"x-stream-offset": offset}
    arguments.update(more)
    bodies = []
    for method, properties, body in reader.consume("events", arguments=arguments):
        bodies.append(body.decode())
        last = properties.headers["x-stream-offset"]
        reader.basic_ack(method.delivery_tag)
        if len(bodies) == count:
            break
    reader.close()
    print("read", " ".join(bodies), "to", int(last))


if sys.argv[1] == "write":
    declare()
    write(int(sys.argv[2]), int(sys.argv[3]))
else:
    read("first", 10)
    read(4, 3)
    read("last", 1)
    read("1h", 2)
    read(datetime.datetime(2020, 1, 1), 2)
    read("first", 4, **{"x-stream-filter": "odd"})
connection.close()
