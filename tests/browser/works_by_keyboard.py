"""Without a mouse: signing in, declaring a queue, searching for it, and deleting it; what has the focus can be seen."""

from browser import URL, api, browser, expect

# More than there are controls before any that is looked for.
MANY = 80
FOCUSED = "(element) => element === document.activeElement"
# What the focused element has around it.
RING = """() => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
    return (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none" || document.activeElement.outerHTML.slice(0, 120);
}"""

with browser() as visitor:
    guest = visitor()
    page, keys = guest.page, guest.page.keyboard

    def tab_to(target, key="Tab"):
        for _ in range(MANY):
            if target.evaluate(FOCUSED):
                ring = page.evaluate(RING)
                assert ring is True, f"the focus cannot be seen: {ring}"
                return
            keys.press(key)
        raise AssertionError(f"the Tab key does not reach {target}")

    page.goto(URL)
    expect(page.get_by_label("User name")).to_be_focused()
    keys.type("guest")
    keys.press("Tab")
    keys.type("guest")
    keys.press("Enter")
    guest.at("Overview")
    expect(page.locator("h1")).to_be_focused()

    # The first stop of all leads past the navigation.
    tab_to(guest.link("Skip to the content"), "Shift+Tab")
    keys.press("Enter")
    expect(page.locator("h1")).to_be_focused()

    tab_to(guest.link("Queues", page.get_by_role("navigation", name="Pages", exact=True)), "Shift+Tab")
    keys.press("Enter")
    guest.at("Queues")
    expect(page.locator("h1")).to_be_focused()
    tab_to(guest.link("Declare a queue"))
    keys.press("Enter")
    guest.at("Declare a queue")
    tab_to(page.get_by_label("Name", exact=True))
    keys.type("typed")
    keys.press("Enter")
    guest.at("typed")
    assert api("GET", "/queues/%2F/typed")["durable"]

    # Redrawing by every answer of the broker's leaves the focus where it is.
    tab_to(guest.button("Delete…"))
    with page.expect_response(lambda response: "/api/queues/" in response.url):
        pass
    expect(guest.button("Delete…")).to_be_focused()

    # Escape closes a dialog, and the focus returns.
    keys.press("Enter")
    expect(guest.dialog()).to_be_visible()
    keys.press("Escape")
    expect(guest.dialog()).to_have_count(0)
    expect(guest.button("Delete…")).to_be_focused()

    # Enter twice does not delete, nor does Enter on a box.
    keys.press("Enter")
    expect(guest.button("Cancel", guest.dialog())).to_be_focused()
    keys.press("Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_label("Only if nobody consumes")).to_be_focused()
    expect(guest.dialog()).to_be_visible()
    keys.press("Tab")
    keys.press("Enter")
    expect(guest.dialog()).to_have_count(0)
    expect(guest.button("Delete…")).to_be_focused()
    assert api("GET", "/queues/%2F/typed")

    # A slash leads to the search of a list.
    guest.open("#/queues", "Queues")
    keys.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    keys.type("yped")
    expect(guest.row("typed")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_focused()
    tab_to(guest.link("typed"))
    keys.press("Enter")
    guest.at("typed")
    tab_to(guest.button("Delete…"))
    keys.press("Enter")
    tab_to(guest.button("Delete", guest.dialog()))
    keys.press("Enter")
    guest.at("Queues")
    expect(guest.row("typed")).to_have_count(0)
