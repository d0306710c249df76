"""A list of several pages: how many rows a page has, a jump to one, and doing something to all queues that are found."""

from browser import api, browser, expect

queues = [{"name": f"background.job-{number:04}", "vhost": "/", "durable": False, "auto_delete": False, "arguments": {}} for number in range(260)]
queues.append({**queues[0], "name": "keep"})
api("POST", "/definitions", {"queues": queues})

with browser() as visitor:
    guest = visitor()
    page = guest.page
    guest.sign_in(address="#/queues")
    guest.at("Queues")
    pages = page.get_by_role("navigation", name="Pages of the list")
    pages.get_by_label("Page", exact=True).fill("3")
    page.keyboard.press("Enter")
    expect(guest.row("background.job-0210")).to_be_visible()
    assert "page=3" in page.url, page.url
    pages.get_by_label("Rows of a page").select_option("250")
    expect(page.locator("main tbody tr")).to_have_count(250)
    assert page.url.endswith("?size=250"), page.url

    page.get_by_role("searchbox").fill("ground.JOB-")
    expect(page.get_by_text("260 of 261 queues")).to_be_visible()
    page.get_by_label("Select all of this page").check()
    expect(page.get_by_text("250 selected")).to_be_visible()
    guest.button("Select all 260 found").click()
    expect(page.get_by_text("260 selected")).to_be_visible()

    # Their names are too long for a pattern: what was searched for is one.
    guest.button("Set policy…").click()
    dialog = guest.dialog()
    expect(dialog).to_contain_text("what was searched for")
    dialog.get_by_label("Name", exact=True).fill("jobs")
    dialog.get_by_label("Definition: name 1").fill("max-length")
    dialog.get_by_label("Definition: value 1").fill("10")
    guest.answer("Set policy")
    assert api("GET", "/policies/%2F/jobs")["pattern"] == r"(?i)ground\.JOB-"

    guest.button("Delete…").click()
    expect(guest.dialog()).to_contain_text("252 more")
    guest.answer("Delete")
    expect(page.get_by_text("1 queue", exact=False)).to_be_visible()
    assert [one["name"] for one in api("GET", "/queues")] == ["keep"]
