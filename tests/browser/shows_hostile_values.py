"""Values that clients choose are text, too, when they are tables that look like what the page makes elements of."""

import pika

from browser import AMQP_PORT, api, browser, expect, segment

# As the page describes elements to itself.
ELEMENT = {"tag": "meta", "attributes": {"http-equiv": "refresh", "content": "0;url=/page/leveret.svg"}, "children": []}
OVERLAY = {"tag": "img", "attributes": {"src": "x", "style": {"position": "fixed"}}, "style": {"position": "fixed"}, "class": "skip", "href": "x"}
DEATHS = [
    [{"queue": ELEMENT, "exchange": OVERLAY, "reason": "__proto__", "routing-keys": "abc", "count": 2}],
    [{"queue": OVERLAY, "exchange": ELEMENT, "reason": OVERLAY, "routing-keys": [ELEMENT, OVERLAY], "time": ELEMENT}],
]
FOREIGN = "() => document.querySelectorAll('#app meta, img[src=x], main [style*=fixed]').length"

with browser() as visitor:
    guest = visitor()
    page = guest.page
    parameters = pika.ConnectionParameters(
        "127.0.0.1", AMQP_PORT, client_properties={"connection_name": ELEMENT, "product": OVERLAY, "version": ELEMENT, "information": [OVERLAY]})
    link = pika.BlockingConnection(parameters)
    channel = link.channel()
    channel.queue_declare("values", arguments={"my-dead-letter-exchange": ELEMENT, "other": OVERLAY})
    channel.basic_consume("values", lambda *_: None, arguments={"x": ELEMENT}, auto_ack=False)
    channel.queue_declare("letters")
    for headers in [{"x-death": death, "other": ELEMENT, "list": [OVERLAY]} for death in DEATHS]:
        channel.basic_publish("", "letters", b"{}", pika.BasicProperties(headers=headers))
    # JSON that would be megabytes of spaces with each level further in.
    channel.basic_publish("", "letters", b"[" * 25_000 + b"]" * 25_000, pika.BasicProperties(headers={}))
    guest.sign_in()

    def check(where):
        found = page.evaluate(FOREIGN)
        assert found == 0, f"{where}: {found} elements come from a value"
        expect(page.locator("main .error")).to_have_count(0)

    name = api("GET", "/connections")[0]["name"]
    for address in ["#/connections", f"#/connections/{segment(name)}", "#/channels", f"#/channels/{segment(f'{name} (1)')}", "#/queues", "#/queues/%2F/values", "#/map"]:
        guest.visit(address)
        check(address)
    guest.visit("#/queues/%2F/letters?tab=messages")
    page.get_by_label("How many", exact=True).first.fill("3")
    guest.button("Get").click()
    messages = page.locator("details.message")
    expect(messages).to_have_count(3)
    for index in range(3):
        if messages.nth(index).get_attribute("open") is None:
            messages.nth(index).locator("summary").first.click()
        expect(messages.nth(index).get_by_text("Body, ")).to_be_visible()
    check("the messages")
    link.close()
