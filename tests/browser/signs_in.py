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

    # To sign out in one tab is to be signed out in the other.
    guest.button("Sign out").click()
    expect(other.get_by_label("User name")).to_be_visible()
    with guest.expecting("status of 401"):
        expect(page.get_by_label("User name")).to_be_visible()
    page.reload()
    expect(page.get_by_label("User name")).to_be_visible()
    # The address is kept for who signs in next.
    guest.page = page
    guest.sign_in(address="#/?range=1h")
    assert page.url.endswith("#/?range=1h"), page.url
    expect(guest.link("Last hour")).to_have_attribute("aria-current", "true")
