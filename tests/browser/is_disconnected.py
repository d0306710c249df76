"""A page whose broker does not answer says so, asks no more often than before, and goes on when the broker is back.

The test kills the broker and starts it again when this program says so.
"""

import os
import re
import signal

from browser import browser, expect

BROKER = int(os.environ["LEVERET_TEST_PID"])
# Requests that a page without answers may begin in some fifteen seconds: one set at a time, and each ends before the next.
FEW = 12

with browser() as visitor:
    guest = visitor()
    guest.sign_in()
    main = guest.page.locator("main")
    connection = guest.page.locator("#connection")
    expect(connection).to_have_text("")

    os.kill(BROKER, signal.SIGSTOP)
    try:
        guest.requests.clear()
        expect(connection).to_contain_text(re.compile(r"No answer for \d+ s"))
        expect(main).to_have_class("stale")
        # What was there can still be read.
        expect(guest.page.get_by_role("figure").filter(has_text="Messages a second")).to_be_visible()
        guest.until("() => / (1[5-9]|[2-5][0-9]) s|min/.test(document.querySelector('#connection').textContent)")
        assert len(guest.requests) <= FEW, guest.requests
    finally:
        os.kill(BROKER, signal.SIGCONT)
    expect(connection).to_have_text("")
    expect(main).not_to_have_class("stale")

    with guest.expecting("ERR_CONNECTION|ERR_EMPTY_RESPONSE|status of 401"):
        print("kill", flush=True)
        expect(connection).to_contain_text("No answer for")
        print("start", flush=True)
        # Sessions do not outlive the broker.
        expect(guest.page.get_by_label("User name")).to_be_visible()
        expect(guest.page.get_by_text("Your session has ended")).to_be_visible()
        guest.page.get_by_label("User name").fill("guest")
        guest.page.get_by_label("Password").fill("guest")
        guest.button("Sign in").click()
        guest.at("Overview")
        expect(connection).to_have_text("")

    # What was clicked without a connection is shown when there is one: by itself, or when it is clicked again.
    with guest.expecting("ERR_FAILED|Failed to fetch"):
        for entry, clicks in [("Queues", 0), ("Exchanges", 1)]:
            guest.page.route("**/*", lambda route: route.abort())
            link = guest.link(entry, guest.page.get_by_role("navigation", name="Pages", exact=True))
            link.click()
            expect(guest.page.locator("h1")).to_have_text(entry)
            expect(connection).to_contain_text("The broker does not answer")
            guest.page.unroute("**/*")
            for _ in range(clicks):
                link.click()
            guest.at(entry)
            expect(guest.page.get_by_role("searchbox")).to_be_visible()
            expect(connection).to_have_text("")
