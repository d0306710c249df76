"""The log is on the page as it is written, and can be searched, stopped and let go on."""

import re
from datetime import datetime, timedelta

from browser import api, browser, connection, expect

with browser() as visitor:
    guest = visitor(timezone_id="Asia/Kolkata")
    page = guest.page
    guest.sign_in(address="#/log")
    guest.at("Log")
    log = page.get_by_role("log")
    # What was written before the page was opened is there, and the rest comes without being asked for.
    expect(log).to_contain_text("ready")
    api("PUT", "/vhosts/freshly-made", {})
    expect(log).to_contain_text("freshly-made")
    # Times are the reader's, and the broker's below the pointer.
    utc, shown = page.locator(".log .time").last.evaluate("time => [time.title, time.textContent]")
    there = datetime.fromisoformat(utc) + timedelta(hours=5, minutes=30)
    assert shown == there.strftime("%Y-%m-%d %H:%M:%S.") + utc.split(".")[1][:3], (utc, shown)
    expect(page.get_by_text(re.compile("Asia/(Kolkata|Calcutta)"))).to_be_visible()
    link = connection(connection_name="<b>seen in the log</b>")
    expect(log).to_contain_text("<b>seen in the log</b>")
    link.close()
    api("DELETE", "/vhosts/freshly-made")
