"""A person declares a queue, publishes to it, sees the figures and charts move, looks at the messages and purges them."""

import re

from browser import api, browser, expect

BODY = '{"order": 1204, "items": [{"sku": "A-1", "count": 2}]}'

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
        expect(page.get_by_role("alert")).to_contain_text("x-max-length")

    guest.open("#/queues/%2F/orders", "orders")
    parts = page.get_by_role("navigation", name="Parts of this page")
    guest.link("Publish", parts).click()
    page.get_by_label("Payload", exact=True).fill(BODY)
    page.get_by_label("Headers: name 1").fill("tenant")
    page.get_by_label("Headers: value 1").fill("eu-1")
    page.get_by_text("Properties", exact=True).click()
    page.get_by_label("Content type").fill("application/json")
    for number in range(1, 4):
        guest.button("Publish").click()
        expect(page.get_by_role("status").filter(has_text="Message 3" if number == 3 else "essage")).to_be_visible()
    guest.link("Overview", parts).click()
    expect(page.locator(".tile").filter(has_text="ready")).to_contain_text("3")

    # The chart and the rates move with the next samples of the broker's.
    expect(page.get_by_role("img", name=re.compile("^Messages in the queue: .*Total 3"))).to_be_visible()
    shape = page.get_by_role("img", name=re.compile("^Messages a second")).locator("path").first.get_attribute("d")
    guest.until("""(before) => {
        const chart = document.querySelector('[aria-label^="Messages a second"] path');
        return chart && chart.getAttribute("d") !== before;
    }""", shape)
    guest.open("#/", "Overview")
    expect(page.get_by_role("link", name="3 messages ready")).to_be_visible()
    chart = page.get_by_role("img", name=re.compile("^Messages a second"))
    highest = chart.locator("path").first.evaluate("(path) => Math.min(...path.getAttribute('d').match(/ [0-9.]+/g).map(Number))")
    lowest = chart.locator("path").first.evaluate("(path) => Math.max(...path.getAttribute('d').match(/ [0-9.]+/g).map(Number))")
    assert highest < lowest, "the line of what was published is flat"
