"""The map of a virtual host: what is on it, where its parts lead, what a search leaves, and the picture as a file."""

import xml.etree.ElementTree

from browser import browser, expect
from world import furnished

SVG = "{http://www.w3.org/2000/svg}"

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
    root = xml.etree.ElementTree.parse(download.value.path()).getroot()
    assert root.tag == f"{SVG}svg", root.tag
    texts = " ".join(text for text in root.itertext())
    assert "orders.paid" in texts and "unrouted" in texts, texts
    assert not [one for one in root.iter() if one.tag == f"{SVG}script"]

    page.get_by_role("searchbox").fill("FAILED")
    expect(page.get_by_text("1 of 6 queues")).to_be_visible()
    expect(map.get_by_text("orders.failed", exact=True).first).to_be_visible()
    expect(map.get_by_text("lost", exact=True)).to_have_count(0)
    # The exchange that leads to it stays.
    expect(map.get_by_text("dead", exact=True).first).to_be_visible()
    page.get_by_role("searchbox").fill("nothing has this")
    expect(page.get_by_text("Show all")).to_be_visible()
    guest.link("Show all").click()

    before = map.get_attribute("viewBox")
    guest.button("Zoom in").click()
    expect(map).not_to_have_attribute("viewBox", before)
    guest.button("Show the whole map").click()
    expect(map).to_have_attribute("viewBox", before)

    map.get_by_role("link").filter(has_text="orders.failed").click()
    guest.at("orders.failed")
    page.go_back()
    guest.at("Map of /")
    map.get_by_role("link").filter(has_text="unrouted").click()
    guest.at("unrouted")
