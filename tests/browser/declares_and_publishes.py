"""A person declares a queue, publishes to it, sees the figures and charts move, looks at the messages and purges them."""

import re

from browser import api, browser, eventually, expect

BODY = '{"order": 1204, "items": [{"sku": "A-1", "count": 2}]}'
# The line in a chart of messages a second.
PUBLISHED = "path.c1"


def is_flat(shape):
    """Whether a chart's line has one height from its beginning to its end."""
    return len(set(re.findall(r" [0-9.]+", shape))) < 2


with browser() as visitor:
    guest = visitor()
    page = guest.page
    guest.sign_in(address="#/queues")
    guest.at("Queues")
    # An empty broker says what to type.
    expect(page.get_by_text("queue_declare")).to_be_visible()
    page.get_by_role("search").get_by_role("link", name="Declare a queue").click()
    guest.at("Declare a queue")
    page.get_by_label("Name", exact=True).fill("orders")
    page.get_by_label(re.compile("x-max-length$")).fill("ten")
    guest.button("Declare").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label(re.compile("x-max-length$")).fill("1000")
    guest.button("Declare").click()
    guest.at("orders")
    declared = api("GET", "/queues/%2F/orders")
    assert declared["durable"] and declared["arguments"] == {"x-max-length": 1000}, declared

    # A queue that exists with other arguments is not declared, and the broker says why.
    guest.open("#/declare/queue", "Declare a queue")
    page.get_by_label("Name", exact=True).fill("orders")
    with guest.expecting("status of 400"):
        guest.button("Declare").click()
        expect(page.get_by_role("alert")).to_contain_text("exists with other settings: x-max-length is")

    guest.open("#/queues/%2F/orders", "orders")
    parts = page.get_by_role("navigation", name="Parts of this page")
    guest.link("Publish", parts).click()
    page.get_by_label("The payload is").select_option("JSON, checked")
    page.get_by_label("Payload", exact=True).fill(BODY[1:])
    expect(page.get_by_text("This is not JSON")).to_be_visible()
    page.get_by_label("Payload", exact=True).fill(BODY)
    page.get_by_label("Headers: name 1").fill("tenant")
    page.get_by_label("Headers: value 1").fill("eu-1")
    page.get_by_text("Properties", exact=True).click()
    page.get_by_label("Message ID").fill("m-1")
    for so_far in ["", " (2 so far)", " (3 so far)"]:
        guest.button("Publish").click()
        expect(page.get_by_text(f"The message is published, and in at least one queue{so_far}.")).to_be_visible()
    guest.link("Overview", parts).click()
    expect(page.locator(".tile").filter(has_text="ready")).to_contain_text("3")

    # The charts move with the next samples of the broker's.
    expect(page.get_by_role("img", name=re.compile("^Messages in the queue: .*Total 3"))).to_be_visible()
    # What waits is known at once, and a rate with the sample after.
    line = page.get_by_role("img", name=re.compile("^Messages a second: Published")).locator(PUBLISHED)
    eventually("the line of what was published is not flat", lambda: not is_flat(line.get_attribute("d")))
    shape = line.get_attribute("d")
    guest.until("""([path, before]) => document.querySelector(`[aria-label^="Messages a second"] ${path}`).getAttribute("d") !== before""", [PUBLISHED, shape])
    guest.open("#/", "Overview")
    expect(page.get_by_role("link", name="3 messages ready")).to_be_visible()
    assert not is_flat(page.get_by_role("img", name=re.compile("^Messages a second")).locator(PUBLISHED).get_attribute("d"))

    # What is looked at stays in the queue.
    guest.open("#/queues/%2F/orders?tab=messages", "orders")
    page.get_by_label("How many", exact=True).first.fill("2")
    guest.button("Get").click()
    expect(page.get_by_text("2 messages, got at")).to_be_visible()
    message = page.locator("details.message").first
    # The first are open.
    expect(message).to_contain_text("application/json")
    expect(message).to_contain_text("m-1")
    expect(message.get_by_role("term").filter(has_text="tenant")).to_be_visible()
    expect(message.get_by_role("definition").filter(has_text="eu-1")).to_be_visible()
    # JSON is indented, text is what it was, and hex what it is.
    expect(message.locator("pre").last).to_contain_text('"sku": "A-1",')
    guest.button("Text", message).click()
    expect(message.locator("pre").last).to_have_text(BODY)
    guest.button("Hex", message).click()
    expect(message.locator("pre").last).to_contain_text("7b 22 6f 72 64 65 72 22")
    assert api("GET", "/queues/%2F/orders")["messages"] == 3

    # Bindings are added and removed.
    guest.link("Overview", parts).click()
    page.get_by_text("Add a binding", exact=True).click()
    page.get_by_label("From the exchange").fill("amq.topic")
    page.get_by_label("Routing key", exact=True).fill("orders.#")
    guest.button("Add").click()
    remove = guest.button("Remove the binding from amq.topic with the key orders.#")
    expect(remove).to_be_visible()
    remove.click()
    guest.answer("Remove")
    expect(remove).to_have_count(0)

    # Messages move to another queue.
    api("PUT", "/queues/%2F/elsewhere", {"durable": True})
    guest.link("Messages", parts).click()
    page.get_by_label("To the queue").fill("elsewhere")
    page.get_by_label("How many", exact=True).last.fill("1")
    guest.button("Move").click()
    expect(page.get_by_text("1 of 1 message moved to elsewhere")).to_be_visible()
    expect(page.locator(".tile").filter(has_text="ready")).to_contain_text("2")
    [moved] = api("POST", "/queues/%2F/elsewhere/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"})
    assert moved["payload"] == BODY and moved["properties"]["headers"] == {"tenant": "eu-1"}, moved

    # The question says how many; the answer is not given by mistake.
    guest.button("Purge…").click()
    expect(guest.dialog()).to_contain_text("Delete the 2 ready messages of orders?")
    guest.answer("Cancel")
    assert api("GET", "/queues/%2F/orders")["messages"] == 2
    guest.button("Purge…").click()
    guest.answer("Purge")
    guest.said("orders is purged.")
    expect(page.locator(".tile").filter(has_text="ready")).to_contain_text("0")

    # Several at once, from the list.
    guest.open("#/queues", "Queues")
    for name in ["orders", "elsewhere"]:
        page.get_by_role("checkbox", name=f"Select {name}").check()
    guest.button("Delete…").click()
    expect(guest.dialog()).to_contain_text("1 message")
    guest.answer("Delete")
    expect(page.get_by_text("There are no queues here.")).to_be_visible()
