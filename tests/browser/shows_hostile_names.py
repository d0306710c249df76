"""Names that clients choose are shown as they are on every page: none becomes markup, and each can be clicked and deleted."""

import contextlib

import pika

from browser import api, browser, connection, expect, segment
from world import consumer

NAMES = [
    "<img src=x onerror=alert(1)>",
    "\"'><script>alert(1)</script>",
    "50% of a/b?c=d&e#f;%2F%00",
    "🐇 ‏ארנבת‏ &amp; \\n {{7*7}} ${x}",
    "x" * 255,
]
# Elements that only a name could have made.
FOREIGN = "() => document.querySelectorAll('#app script, dialog script, img[src=x], [onerror]').length"


def declare(name):
    """Uses a name wherever the broker takes one."""
    part = segment(name)
    api("PUT", f"/exchanges/%2F/{part}", {"type": "direct", "durable": True})
    api("PUT", f"/queues/%2F/{part}", {"durable": True, "arguments": {"x-dead-letter-exchange": name, "x-dead-letter-routing-key": name}})
    api("POST", f"/bindings/%2F/e/{part}/q/{part}", {"routing_key": name, "arguments": {name[:128]: name}})
    api("PUT", f"/policies/%2F/{part}", {"pattern": f"^{name[:1]}" if name[0].isalnum() else "^nothing$", "definition": {"max-length": 1000}})
    api("PUT", f"/users/{part}", {"password": "secret", "tags": name.replace(",", "")})
    api("PUT", f"/vhosts/{part}", {"description": name})
    api("PUT", f"/permissions/{part}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
    api("PUT", f"/permissions/%2F/{part}", {"configure": ".*", "write": ".*", "read": "^x$"})
    api("PUT", f"/vhost-limits/{part}/max-queues", {"value": 7})
    api("PUT", f"/user-limits/{part}/max-channels", {"value": 7})
    link = connection()
    properties = pika.BasicProperties(content_type=name[:255], headers={name[:128]: name}, message_id=name, type=name, app_id=name)
    link.channel().basic_publish(name, name, name.encode() * 3, properties)
    link.close()


def check(visitor, where):
    found = visitor.page.evaluate(FOREIGN)
    assert found == 0, f"{where}: {found} elements come from a name"
    expect(visitor.page.locator("main .error")).to_have_count(0)


with browser() as visitor, contextlib.ExitStack() as stack:
    guest = visitor()
    page = guest.page
    for name in NAMES:
        declare(name)
    own = stack.enter_context(consumer(NAMES[0], connection_name=NAMES[0]))
    guest.sign_in()

    # Every page that lists them.
    for address in ["#/", "#/queues", "#/streams", "#/exchanges", "#/map?vhost=%2F", "#/trace?vhost=%2F", "#/connections", "#/channels", "#/users",
                    "#/permissions", "#/vhosts", "#/policies", "#/limits", "#/limits?kind=user", "#/log"]:
        guest.visit(address)
        check(guest, address)

    # Every page about one.
    for name in NAMES:
        part = segment(name)
        for address in [f"#/queues/%2F/{part}", f"#/exchanges/%2F/{part}", f"#/queues/%2F/{part}?tab=messages", f"#/users/{part}",
                        f"#/queues/%2F/{part}?tab=publish", f"#/vhosts/{part}", f"#/trace?vhost=%2F&exchange={part}&routing_key={part}",
                        f"#/map?vhost={part}", f"#/policies/%2F/{part}", f"#/map?vhost=%2F&name={part}"]:
            guest.visit(address)
            check(guest, address)
            if not address.startswith(("#/trace", "#/map")):
                expect(page.locator("h1")).to_have_text(name)
    guest.visit(f"#/connections/{segment(own)}")
    check(guest, "connection")

    # From the list to the queue, and away with it.
    for name in NAMES:
        guest.open("#/queues", "Queues")
        page.get_by_role("rowheader", name=name, exact=True).get_by_role("link").click()
        guest.at(name)
        guest.button("Delete…").click()
        expect(guest.dialog()).to_contain_text(name)
        guest.answer("Delete")
        guest.at("Queues")
        expect(page.get_by_role("rowheader", name=name, exact=True)).to_have_count(0)
    for name in NAMES:
        guest.open("#/exchanges?name=" + segment(name), "Exchanges")
        guest.link(name).click()
        guest.at(name)
        guest.button("Delete this exchange…").click()
        guest.answer("Delete")
        guest.at("Exchanges")
    for name in NAMES:
        guest.open(f"#/users/{segment(name)}", name)
        guest.button("Delete…").click()
        guest.answer("Delete")
        guest.at("Users")
    assert api("GET", "/queues") == []
    left = {one["name"] for kind in ("users", "exchanges") for one in api("GET", f"/{kind}")}
    assert not left & set(NAMES), left
