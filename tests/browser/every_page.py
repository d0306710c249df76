"""Every page in one scheme of colours, `light` or `dark`: axe-core finds nothing serious, and a picture is kept."""

import sys

from axe import findings
from browser import SCREENSHOTS, URL, browser, expect
from world import furnished, views

scheme = sys.argv[1]
wrong = []


def look(visitor, picture):
    wrong.extend(f"{picture}: {finding}" for finding in findings(visitor.page))
    visitor.page.screenshot(path=SCREENSHOTS / f"{picture}-{scheme}.png", full_page=True)


with furnished() as name, browser() as visitor:
    guest = visitor(color_scheme=scheme)
    guest.page.goto(URL)
    expect(guest.button("Sign in")).to_be_visible()
    look(guest, "sign-in")
    guest.sign_in()
    for address, picture in views(name).items():
        guest.visit(address)
        expect(guest.page.locator("main .error")).to_have_count(0)
        expect(guest.page.locator("h1")).not_to_have_text("Not found")
        look(guest, picture)
    assert not wrong, "\n".join(wrong)
