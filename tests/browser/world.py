"""A broker with something of everything, and the addresses of all views of it."""

import contextlib
import json
import threading

import pika

from browser import api, connection, eventually, segment

# The address, and the name of its pictures.
VIEWS = {
    "#/": "overview",
    "#/nodes/leveret@localhost": "node",
    "#/queues": "queues",
    "#/queues/%2F/orders.paid": "queue",
    "#/queues/%2F/orders.failed?tab=messages": "messages",
    "#/queues/%2F/orders.paid?tab=publish": "publish",
    "#/declare/queue": "declare-queue",
    "#/streams": "streams",
    "#/streams/%2F/events": "stream",
    "#/exchanges": "exchanges",
    "#/exchanges/%2F/orders": "exchange",
    "#/exchanges/%2F/audit": "bound-exchange",
    "#/map?vhost=%2F": "map",
    "#/trace?vhost=%2F&exchange=orders&routing_key=paid.card": "trace",
    "#/connections": "connections",
    "#/connections/{connection}": "connection",
    "#/channels": "channels",
    "#/channels/{connection}%20(1)": "channel",
    "#/users": "users",
    "#/users/shop": "user",
    "#/permissions": "permissions",
    "#/vhosts": "vhosts",
    "#/vhosts/%2F": "vhost",
    "#/policies": "policies",
    "#/policies/%2F/bounded": "policy",
    "#/limits": "limits",
    "#/log": "log",
}


def views(name):
    """All addresses, with the names of their pictures; `name` is that of an open connection."""
    return {address.replace("{connection}", segment(name)): picture for address, picture in VIEWS.items()}


@contextlib.contextmanager
def furnished():
    """Declares queues, exchanges, users and so on; yields the name of a connection that consumes until the end."""
    api("PUT", "/vhosts/staging", {"description": "Tests of the shop", "tags": "staging"})
    api("PUT", "/users/shop", {"password": "shop", "tags": ""})
    api("PUT", "/users/ops", {"password": "ops", "tags": "monitoring"})
    api("PUT", "/permissions/%2F/shop", {"configure": "^orders", "write": "^orders", "read": ".*"})
    api("PUT", "/topic-permissions/%2F/shop", {"exchange": "orders", "write": "^paid", "read": ".*"})
    api("PUT", "/policies/%2F/bounded", {"pattern": r"^orders\.", "definition": {"max-length": 10000}, "apply-to": "queues"})
    api("PUT", "/vhost-limits/staging/max-queues", {"value": 100})
    api("PUT", "/user-limits/shop/max-connections", {"value": 10})
    for name, kind, arguments in [("orders", "topic", {"alternate-exchange": "unrouted"}), ("unrouted", "fanout", {}), ("dead", "direct", {}), ("audit", "topic", {})]:
        api("PUT", f"/exchanges/%2F/{name}", {"type": kind, "durable": True, "arguments": arguments})
    for name, arguments in [
        ("orders.paid", {"x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "failed"}),
        ("orders.sent", {"x-queue-type": "quorum"}),
        ("orders.failed", {}),
        ("lost", {"x-message-ttl": 86400000}),
        ("events", {"x-queue-type": "stream"}),
    ]:
        api("PUT", f"/queues/%2F/{name}", {"durable": True, "arguments": arguments})
    for exchange, queue, key in [("orders", "orders.paid", "paid.#"), ("orders", "orders.sent", "sent.*"), ("orders", "events", "paid.#"),
                                 ("dead", "orders.failed", "failed"), ("unrouted", "lost", "")]:
        api("POST", f"/bindings/%2F/e/{exchange}/q/{queue}", {"routing_key": key})
    api("POST", "/bindings/%2F/e/audit/e/dead", {"routing_key": "refunded.#"})
    with consumer("orders.paid", "orders.sent", connection_name="warehouse") as name:
        publish()
        yield name


def publish():
    """Publishes messages of which some are consumed, some wait and one is a dead letter."""
    link = connection()
    channel = link.channel()
    for number in range(20):
        headers = {"tenant": "eu-1", "attempt": number, "express": number % 2 == 0}
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, headers=headers, message_id=f"m-{number}")
        key = ["paid.card", "sent.today", "refunded.card"][number % 3]
        channel.basic_publish("orders", key, json.dumps({"order": number, "items": [{"sku": "A-1", "count": 2}]}), properties)
    # Expires at once, since nobody consumes it, and is a dead letter then.
    api("PUT", "/queues/%2F/brief", {"durable": True, "arguments": {"x-message-ttl": 1, "x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "failed"}})
    channel.basic_publish("", "brief", "too late", pika.BasicProperties(delivery_mode=2))
    link.close()


@contextlib.contextmanager
def consumer(*queues, connection_name="consumer"):
    """Consumes on a thread, acknowledging every other message; yields the connection's name in the HTTP API."""
    link = connection(connection_name=connection_name)
    channel = link.channel()
    channel.basic_qos(prefetch_count=10)
    ends = threading.Event()

    def delivered(channel, method, _properties, _body):
        if method.delivery_tag % 2:
            channel.basic_ack(method.delivery_tag)

    for queue in queues:
        channel.basic_consume(queue, delivered)

    def work():
        with contextlib.suppress(pika.exceptions.AMQPError):
            while not ends.is_set():
                link.process_data_events(time_limit=0.1)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield name_of(connection_name)
    finally:
        ends.set()
        thread.join()
        with contextlib.suppress(pika.exceptions.AMQPError):
            link.close()


def name_of(connection_name):
    """The name by which the HTTP API knows the connection that calls itself so."""
    def look():
        all = api("GET", "/connections")
        return next((one["name"] for one in all if one.get("client_properties", {}).get("connection_name") == connection_name), None)

    return eventually(f"a connection {connection_name}", look)
