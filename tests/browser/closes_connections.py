"""An operator finds a connection and its channel, and closes it with a reason, which the client is told."""

import pika

from browser import browser, connection, expect
from world import name_of

REASON = "Deploy 42 leaks channels"

with browser() as visitor:
    guest = visitor()
    page = guest.page
    link = connection(connection_name="leaky worker")
    channel = link.channel()
    channel.queue_declare("work")
    channel.basic_consume("work", lambda *_: None)
    name = name_of("leaky worker")

    guest.sign_in(address="#/connections")
    guest.at("Connections")
    expect(guest.page.get_by_role("row").filter(has_text="leaky worker")).to_contain_text("guest")
    guest.link(name).click()
    guest.at(name)
    expect(page.locator("main")).to_contain_text("leaky worker")
    expect(page.locator("main")).to_contain_text("pika")
    guest.link(f"{name} (1)").click()
    guest.at(f"{name} (1)")
    expect(page.locator("main")).to_contain_text("work")
    # The client's name for it goes with it everywhere.
    expect(page.locator(".title")).to_contain_text("leaky worker")
    guest.link("work").click()
    guest.at("work")
    expect(guest.page.get_by_role("row").filter(has_text=name)).to_contain_text("leaky worker")
    page.go_back()
    guest.at(f"{name} (1)")

    page.go_back()
    guest.at(name)
    guest.button("Close…").click()
    expect(guest.dialog()).to_contain_text("leaky worker")
    guest.dialog().get_by_label("Reason").fill(REASON)
    guest.answer("Close")
    try:
        link.process_data_events(time_limit=30)
        raise AssertionError("the connection is still open")
    except pika.exceptions.ConnectionClosedByBroker as closed:
        assert closed.reply_code == 320 and REASON in closed.reply_text, closed
    guest.at("Connections")
    expect(guest.link(name)).to_have_count(0)
