"""The trace says where a message would go and why, as it is typed, and sends nothing."""

from browser import api, browser, expect
from world import furnished

with furnished(), browser() as visitor:
    guest = visitor()
    page = guest.page
    guest.sign_in(address="#/trace?vhost=%2F")
    guest.at("Trace a message")
    before = {one["name"]: one["messages"] for one in api("GET", "/queues?disable_stats=true&enable_queue_totals=true")}

    page.get_by_label("Exchange", exact=True).fill("orders")
    page.get_by_label("Routing key", exact=True).fill("paid.card")
    verdict = page.locator(".ok")
    expect(verdict).to_contain_text("Reaches 2 queues")
    expect(verdict).to_contain_text("events")
    expect(verdict).to_contain_text("orders.paid")
    steps = page.get_by_role("list", name="Steps")
    expect(steps).to_contain_text("paid.#")
    page.get_by_text("1 binding does not match").click()
    expect(steps.get_by_text("sent.*", exact=True)).to_be_visible()

    # The way through the alternate exchange, from a headers exchange that has none of the headers.
    api("PUT", "/exchanges/%2F/picky", {"type": "headers", "durable": True, "arguments": {"alternate-exchange": "unrouted"}})
    api("POST", "/bindings/%2F/e/picky/q/orders.failed", {"arguments": {"x-match": "all", "express": True}})
    page.get_by_label("Exchange", exact=True).fill("picky")
    expect(verdict).to_contain_text("Reaches 1 queue: lost")
    expect(steps).to_contain_text("alternate exchange of picky")
    page.get_by_text("Headers", exact=True).first.click()
    page.get_by_label("Headers: name 1").fill("express")
    page.get_by_label("Headers: value 1").fill("true")
    expect(verdict).to_contain_text("Reaches 1 queue: orders.failed")

    # The address is what was typed.
    page.reload()
    guest.at("Trace a message")
    expect(verdict).to_contain_text("Reaches 1 queue: orders.failed")

    # The default exchange, and a queue that does not exist.
    guest.open("#/trace?vhost=%2F&routing_key=lots", "Trace a message")
    expect(page.get_by_text("Reaches no queue")).to_be_visible()
    page.get_by_label("Routing key", exact=True).fill("lost")
    expect(verdict).to_contain_text("Reaches 1 queue: lost")
    page.get_by_label("Exchange", exact=True).fill("nowhere")
    expect(page.get_by_text("There is no exchange “nowhere”")).to_be_visible()

    after = {one["name"]: one["messages"] for one in api("GET", "/queues?disable_stats=true&enable_queue_totals=true")}
    assert before == after, (before, after)
