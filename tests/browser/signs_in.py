"""A person signs in, and out again; the session outlives a reload and is that of every tab."""

from browser import URL, browser, expect

with browser() as visitor:
    guest = visitor()
    page = guest.page
    page.goto(URL)
    expect(page).to_have_title("Sign in – Leveret")
    expect(page.get_by_label("User name")).to_be_focused()

    page.get_by_label("User name").fill("guest")
    page.get_by_label("Password").fill("not it")
    with guest.expecting("status of 401"):
        guest.button("Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("This user name or password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_value("")

    page.get_by_label("Password").fill("guest")
    page.keyboard.press("Enter")
    guest.at("Overview")
    expect(page).to_have_title("Overview – Leveret")
    expect(page.get_by_role("figure").filter(has_text="Messages a second")).to_be_visible()
    expect(page.locator("header")).to_contain_text("guest")
    # Neither of the two can be read by a script, or is written down in the browser.
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.keys({...localStorage, ...sessionStorage})") == []
    [cookie] = guest.context.cookies(f"{URL}/api/session")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie

    page.reload()
    guest.at("Overview")

    other = guest.tab()
    other.goto(f"{URL}/#/")
    guest.at("Overview")

    # To sign out in one tab is to be signed out in the other, which says so.
    page.goto(f"{URL}/#/declare/queue")
    page.get_by_label("Name", exact=True).fill("half typed")
    page.get_by_label("Type", exact=True).select_option("quorum")
    guest.button("Sign out").click()
    expect(other.get_by_label("User name")).to_be_visible()
    expect(other.get_by_text("Your session has ended")).to_have_count(0)
    guest.page = page
    with guest.expecting("status of 401"):
        guest.button("Declare").click()
        expect(page.get_by_text("Your session has ended")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_value("guest")
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill("guest")
    guest.button("Sign in").click()
    guest.at("Declare a queue")
    # What it was when the session ended.
    expect(page.get_by_label("Name", exact=True)).to_have_value("half typed")
    expect(page.get_by_label("Type", exact=True)).to_have_value("quorum")
    expect(page.get_by_role("alert")).to_contain_text("nothing was done")
    guest.button("Sign out").click()
    page.reload()
    expect(page.get_by_label("User name")).to_be_visible()
    # The address is kept for who signs in next.
    guest.page = page
    guest.sign_in(address="#/?range=1h")
    assert page.url.endswith("#/?range=1h"), page.url
    expect(guest.link("Last hour")).to_have_attribute("aria-current", "true")
