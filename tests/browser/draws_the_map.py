"""The map of a virtual host: what is on it, where its parts lead, what a search leaves, and the picture as a file."""

import base64
import xml.etree.ElementTree
from pathlib import Path

from browser import api, browser, connection, expect
from world import furnished

SVG = "{http://www.w3.org/2000/svg}"
# The smallest text that can be read, in pixels of CSS.
LEAST_TEXT = 10

# The height of the lowest text, and where the picture is in its frame.
MEASURE = """() => {
    const frame = document.querySelector(".map-scroll");
    const [outer, inner] = [frame, frame.firstElementChild].map((one) => one.getBoundingClientRect());
    const texts = [...frame.querySelectorAll("text")].filter((one) => one.textContent);
    const seen = ({ left, top, right, bottom }) => left >= outer.left && top >= outer.top && right <= outer.right && bottom <= outer.bottom;
    return {
        lowest: Math.min(...texts.map((one) => one.getBoundingClientRect().height)),
        font: Math.min(...texts.map((one) => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a)),
        seen: [...frame.querySelectorAll("[data-id]")].filter((one) => seen(one.getBoundingClientRect())).length,
        whole: inner.width <= outer.width && inner.height <= outer.height,
        scrolled: [frame.scrollLeft, frame.scrollTop],
    };
}"""

# What a sign or a line has to stand out by from what is behind it.
CONTRAST = """(selector) => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const style = getComputedStyle(document.querySelector(selector));
    const back = numbers(getComputedStyle(document.querySelector(".map-frame")).backgroundColor);
    const drawn = numbers(style.stroke).slice(0, 3).map((one, at) => one * style.strokeOpacity + back[at] * (1 - style.strokeOpacity));
    const light = (colour) => colour.slice(0, 3).map((one) => one / 255).map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0.05);
    const [a, b] = [light(drawn), light(back)];
    return Math.max(a, b) / Math.min(a, b);
}"""


def queues(vhost, count):
    """Declares queues that two exchanges lead to, in a virtual host of their own."""
    api("PUT", f"/vhosts/{vhost}")
    names = [f"{'orders' if number % 2 else 'invoices'}.customer-{number:04}" for number in range(count)]
    settings = {"vhost": vhost, "durable": False, "auto_delete": False, "arguments": {}}
    api("POST", "/definitions", {
        "exchanges": [{"name": name, "type": "topic", "internal": False, **settings} for name in ["orders", "invoices"]],
        "queues": [{"name": name, **settings} for name in names],
        "bindings": [{"source": name.split(".")[0], "vhost": vhost, "destination": name, "destination_type": "queue", "routing_key": "#", "arguments": {}} for name in names],
    })


def is_readable(guest):
    """A map is readable as it is first shown, on all screens, and begins at its top left."""
    for count in [9, 50, 200, 1000]:
        queues(f"with-{count}", count)
        for width, height in [(1920, 1080), (1360, 900), (768, 1024), (360, 740)]:
            guest.page.set_viewport_size({"width": width, "height": height})
            guest.visit(f"#/map?vhost=with-{count}")
            measured = guest.page.evaluate(MEASURE)
            case = f"{count} queues at {width}: {measured}"
            assert measured["lowest"] >= LEAST_TEXT and measured["font"] >= LEAST_TEXT, case
            assert measured["seen"] > 0 and measured["scrolled"] == [0, 0], case
            assert guest.page.evaluate("document.documentElement.scrollWidth") <= width, case
    # A group has no sign as long as it has a consumer, or no messages: it need not be the queue with messages that has none.
    link = connection(vhost="with-1000")
    channel = link.channel()
    for name in ["orders.customer-0001", "invoices.customer-0002"]:
        channel.basic_publish("", name, "waits")
    channel.basic_consume("invoices.customer-0004", lambda *_: None)
    guest.visit("#/map?vhost=with-1000")
    expect(guest.page.locator(".map-scroll .group.waiting").first).to_contain_text("orders")
    assert guest.page.locator(".map-scroll .group.waiting").filter(has_text="invoices").count() == 0
    link.close()
    guest.page.set_viewport_size({"width": 1360, "height": 900})
    guest.visit("#/map?vhost=with-200")
    assert not guest.page.evaluate(MEASURE)["whole"]
    guest.button("Show the whole map").click()
    assert guest.page.evaluate(MEASURE)["whole"]
    # Paper does not scroll.
    guest.button("Zoom in").click()
    guest.page.emulate_media(media="print")
    assert guest.page.evaluate(MEASURE)["whole"]
    guest.page.emulate_media(media="screen")
    for theme in ["light", "dark"]:
        guest.page.emulate_media(color_scheme=theme)
        for part in [".edge.binding .wire", ".queue .card", ".exchange .card"]:
            contrast = guest.page.evaluate(CONTRAST, f".map-scroll {part}")
            assert contrast >= 3, (theme, part, contrast)
    guest.page.emulate_media(color_scheme="light")


def is_complete(guest, file):
    """The saved file has a legend of all that is on the page, and nothing of it is cut."""
    entries = [entry.strip() for entry in guest.page.locator(".map-legend li").all_text_contents()]
    page = guest.tab()
    page.goto(f"data:image/svg+xml;base64,{base64.b64encode(file.read_bytes()).decode()}")
    texts = page.evaluate("[...document.querySelectorAll('text')].map((one) => one.textContent)")
    text = " ".join(texts)
    assert all(entry in text for entry in entries) and len(entries) > 7, (entries, texts)
    beyond = page.evaluate("""() => {
        const { x, y, width, height } = document.documentElement.viewBox.baseVal;
        return [...document.documentElement.children].filter((one) => one.tagName === "text").map((one) => [one.textContent, one.getBBox()])
            .filter(([, box]) => box.x < x || box.y < y || box.x + box.width > x + width || box.y + box.height > y + height).map(([text]) => text);
    }""")
    assert not beyond, beyond
    page.close()

with furnished(), browser() as visitor:
    guest = visitor()
    page = guest.page
    guest.sign_in(address="#/map?vhost=%2F")
    guest.at("Map of /")
    map = page.locator("figure svg.map")
    expect(map).to_be_visible()

    for name in ["orders", "unrouted", "dead", "orders.paid", "orders.sent", "orders.failed", "lost", "events", "brief"]:
        expect(map.get_by_text(name, exact=True).first).to_be_visible()
    # The three kinds of edges can be told apart without colours.
    dashes = {}
    for kind in ["binding", "dead-letter", "alternate"]:
        wire = map.locator(f".edge.{kind} path").first
        expect(wire).to_be_attached()
        dashes[kind] = wire.evaluate("(path) => getComputedStyle(path).strokeDasharray")
    assert dashes["binding"] == "none" and "none" not in (dashes["dead-letter"], dashes["alternate"]), dashes
    # A queue whose messages nobody takes has a sign; one with a consumer has not.
    waiting = map.locator("[data-id]").filter(has_text="orders.failed")
    expect(waiting.locator(".sign")).to_be_attached()
    expect(map.locator("[data-id]").filter(has_text="orders.paid").locator(".sign")).to_have_count(0)

    # The same in words, for those who do not see it.
    page.get_by_text("The same as a table", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="brief", exact=True))
    expect(row).to_contain_text("dead")

    with page.expect_download() as download:
        guest.button("Save as SVG").click()
    file = Path(download.value.path())
    root = xml.etree.ElementTree.parse(file).getroot()
    assert root.tag == f"{SVG}svg", root.tag
    texts = " ".join(text for text in root.itertext())
    assert "orders.paid" in texts and "unrouted" in texts, texts
    assert not [one for one in root.iter() if one.tag == f"{SVG}script"]
    is_complete(guest, file)
    page.bring_to_front()
    guest.page = page

    page.get_by_role("searchbox").fill("FAILED")
    expect(page.get_by_text("1 of 6 queues")).to_be_visible()
    expect(map.get_by_text("orders.failed", exact=True).first).to_be_visible()
    expect(map.get_by_text("lost", exact=True)).to_have_count(0)
    # The exchange that leads to it stays.
    expect(map.get_by_text("dead", exact=True).first).to_be_visible()
    page.get_by_role("searchbox").fill("nothing has this")
    expect(page.get_by_text("Show all")).to_be_visible()
    guest.link("Show all").click()

    before = map.bounding_box()
    guest.button("Zoom in").click()
    assert map.bounding_box()["width"] > 1.2 * before["width"], map.bounding_box()
    guest.button("Show the whole map").click()
    assert map.bounding_box() == before, map.bounding_box()

    map.get_by_role("link").filter(has_text="orders.failed").click()
    guest.at("orders.failed")
    page.go_back()
    guest.at("Map of /")
    map.get_by_role("link").filter(has_text="unrouted").click()
    guest.at("unrouted")

    is_readable(guest)
