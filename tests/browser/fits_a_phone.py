"""On a screen that is 360 pixels wide no page has to be moved sideways, and the menu opens."""

from browser import browser, expect
from world import furnished, views

# What reaches beyond the right edge, but for what scrolls within itself.
BEYOND = """() => [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > 361 && !one.closest(".scroll, pre, svg"))
    .map((one) => one.outerHTML.slice(0, 80))"""

with furnished() as name, browser() as visitor:
    guest = visitor(viewport={"width": 360, "height": 740}, has_touch=True)
    guest.sign_in()
    wide = []
    for address in views(name):
        guest.visit(address)
        width = guest.page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide.append(f"{address}: {width} pixels wide: {guest.page.evaluate(BEYOND)[:8]}")
    assert not wide, "\n".join(wide)

    menu = guest.button("Menu")
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(guest.link("Exchanges")).not_to_be_visible()
    menu.tap()
    expect(menu).to_have_attribute("aria-expanded", "true")
    guest.link("Exchanges").tap()
    guest.at("Exchanges")
