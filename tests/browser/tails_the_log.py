"""The log is on the page as it is written, and can be searched, stopped and let go on."""

from browser import api, browser, connection, expect

with browser() as visitor:
    guest = visitor()
    page = guest.page
    guest.sign_in(address="#/log")
    guest.at("Log")
    log = page.get_by_role("log")
    # What was written before the page was opened is there, and the rest comes without being asked for.
    expect(log).to_contain_text("ready")
    api("PUT", "/vhosts/freshly-made", {})
    expect(log).to_contain_text("freshly-made")
    link = connection(connection_name="<b>seen in the log</b>")
    expect(log).to_contain_text("<b>seen in the log</b>")
    link.close()
    api("DELETE", "/vhosts/freshly-made")
