"""What the programs share: a browser that notes everything that goes wrong, and the page as a person uses it.

Nothing here sleeps and hopes: everything waits until a condition holds, and fails when that takes too long.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import Error, expect, sync_playwright

URL = os.environ.get("LEVERET_TEST_URL", "http://127.0.0.1:15672").rstrip("/")
AMQP_PORT = int(os.environ.get("LEVERET_TEST_PORT", "5672"))
SCREENSHOTS = Path(os.environ.get("LEVERET_TEST_SCREENSHOTS", "target/screenshots"))
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
# Milliseconds until a condition has to hold: the broker's samples come every five seconds, and test machines are busy.
PATIENCE = 1000 * int(os.environ.get("LEVERET_TEST_PATIENCE", "30"))

expect.set_options(timeout=PATIENCE)


@contextlib.contextmanager
def browser():
    """Starts a browser and yields a function that opens it for one person more, with cookies of their own.

    In the end no visitor may have seen an error. If the program fails, what each visitor saw is printed.
    """
    program = os.environ.get("LEVERET_TEST_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    visitors = []

    def visitor(**options):
        visitors.append(Visitor(chromium, **options))
        return visitors[-1]

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--disable-dev-shm-usage"])
        try:
            yield visitor
        except BaseException:
            for number, one in enumerate(visitors):
                one.report(f"{Path(sys.argv[0]).stem}-{number}")
            raise
        for one in visitors:
            one.check()
        chromium.close()


class Visitor:
    """A person at the page: a browser context with one tab, or more."""

    def __init__(self, chromium, **options):
        self.context = chromium.new_context(**{"locale": "en-GB", "viewport": {"width": 1360, "height": 900}, **options})
        self.context.set_default_timeout(PATIENCE)
        self.errors = []
        self.expected = []
        self.requests = []
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self._error(f"page: {error.error}"))
        self.context.on("dialog", self._dialog)
        self.context.on("request", self._request)
        # A notice goes after some seconds, which a busy machine may need to get round to looking for it.
        self.context.add_init_script("""
            window.said = new Set();
            addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
                for (const note of document.querySelectorAll("#notices p")) {
                    if (note.checkVisibility()) said.add(note.textContent);
                }
            }).observe(document, { childList: true, subtree: true, characterData: true }));
        """)
        self.page = self.context.new_page()

    def _console(self, message):
        if message.type in ("error", "warning"):
            self._error(f"console: {message.text} ({message.location['url']})")

    def _error(self, text):
        if not any(re.search(pattern, text) for pattern in self.expected):
            self.errors.append(text)

    def _dialog(self, dialog):
        self.errors.append(f"a dialog of the browser's: {dialog.message}")
        dialog.dismiss()

    def _request(self, request):
        address = urlsplit(request.url)
        if address.scheme in ("data", "blob"):
            return
        self.requests.append(f"{request.method} {address.path}")
        if f"{address.scheme}://{address.netloc}" != URL:
            self.errors.append(f"a request to elsewhere: {request.url}")

    @contextlib.contextmanager
    def expecting(self, pattern):
        """Errors that match this are expected from here on until the block ends."""
        self.expected.append(pattern)
        yield
        # What was said in the browser meanwhile arrives before this answer.
        self.page.evaluate("1")
        self.expected.remove(pattern)

    def check(self):
        """Fails if anything has gone wrong in the browser."""
        assert not self.errors, "\n".join(self.errors)

    def report(self, name):
        """Prints what is on the page, and keeps a picture of it."""
        print("\n".join(self.errors))
        for tab in self.context.pages:
            try:
                print(f"--- {tab.url}")
                for part in tab.locator("main, dialog, #notices").all():
                    print(part.aria_snapshot(timeout=2000))
                tab.screenshot(path=SCREENSHOTS / f"failed-{name}.png", full_page=True, timeout=5000)
            except Error as error:
                print(error)

    def tab(self):
        """Goes on in another tab."""
        self.page = self.context.new_page()
        return self.page

    def sign_in(self, name="guest", password="guest", address="#/"):
        """Opens the page and signs in."""
        self.page.goto(f"{URL}/{address}")
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.button("Sign in").click()
        self.loaded()

    def open(self, address, title):
        """Goes to a view and waits until the broker's answer is shown."""
        self.page.goto(f"{URL}/{address}")
        self.at(title)

    def visit(self, address):
        """Goes to a view, whatever its title, and waits until the broker's first answer is shown."""
        here = self.page.url.removeprefix(f"{URL}/").split("?")[0]
        if not here.startswith("#") or here == address.split("?")[0]:
            # Of the same view with another query the old answer may still be shown.
            self.page.goto("about:blank")
            self.page.goto(f"{URL}/{address}")
            return self.loaded()
        self.page.evaluate("""(address) => {
            document.querySelector(".view")?.classList.add("left");
            location.hash = address;
        }""", address)
        expect(self.page.locator("main:not([aria-busy]) .view:not(.left)")).to_be_attached()

    def at(self, title):
        """Waits until the view of this title shows the broker's answer."""
        expect(self.page.locator("h1")).to_have_text(title)
        self.loaded()

    def loaded(self):
        """Waits until the broker's first answer is shown."""
        expect(self.page.locator("main:not([aria-busy]) .view")).to_be_attached()

    def button(self, name, within=None, exact=True):
        """The button of this name."""
        return (within or self.page).get_by_role("button", name=name, exact=exact)

    def link(self, name, within=None):
        """The link of this name."""
        return (within or self.page).get_by_role("link", name=name, exact=True)

    def row(self, name):
        """The row of a table whose first cell says this."""
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("rowheader", name=name, exact=True))

    def dialog(self):
        """The open dialog of the page's."""
        return self.page.get_by_role("dialog")

    def answer(self, button):
        """Presses a button of the open dialog, and waits until it has closed."""
        self.button(button, self.dialog()).click()
        expect(self.dialog()).to_have_count(0)

    def said(self, text):
        """Waits for a visible notice that contains this, if there was none since the page was loaded."""
        self.until("(text) => [...said].some((one) => one.includes(text))", text)

    def until(self, condition, argument=None):
        """Waits until a function of JavaScript returns something, and returns that."""
        return self.page.wait_for_function(condition, arg=argument, polling=100).json_value()


def eventually(what, look):
    """Calls a function until it returns something, and returns that."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain: {what}")


def segment(name):
    """A name as a part of an address."""
    return quote(name, safe="")


def api(method, path, body=None, user="guest", password="guest"):
    """Asks the HTTP API; returns the JSON of the answer."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api{path}", data, {"Authorization": f"Basic {credentials}"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
    return json.loads(text) if text else None


def connection(user="guest", password="guest", vhost="/", **properties):
    """A connection of pika's."""
    import pika

    return pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", AMQP_PORT, vhost, pika.PlainCredentials(user, password), client_properties=properties or None))
