"""An administrator adds a user, grants permissions and sets limits, all by forms; the user can then do what it may, no more."""

import json

import pika

from browser import api, browser, connection, eventually, expect


def may_declare(user, password, queue):
    """Whether the user may declare a queue of this name."""
    link = connection(user, password)
    try:
        link.channel().queue_declare(queue, durable=True)
        return True
    except pika.exceptions.ChannelClosedByBroker as refused:
        assert refused.reply_code == 403, refused
        return False
    finally:
        # Left to the garbage collector, it would count against the limit that is set later.
        link.close()


with browser() as visitor:
    guest = visitor()
    page = guest.page
    guest.sign_in()
    guest.open("#/users", "Users")

    guest.button("Add a user…").click()
    form = guest.dialog()
    expect(form.get_by_label("Name", exact=True)).to_be_focused()
    form.get_by_label("Name", exact=True).fill("mallory")
    form.get_by_label("New password").fill("secret")
    form.get_by_label("Once more").fill("another")
    form.get_by_label("monitoring", exact=True).check()
    # The page asks whether there is such a user.
    with guest.expecting("status of 404.*/api/users/mallory"):
        guest.button("Add", form).click()
        expect(form.get_by_role("alert")).to_contain_text("differ")
        form.get_by_label("Once more").fill("secret")
        guest.answer("Add")
    guest.at("mallory")
    assert api("GET", "/users/mallory")["tags"] == ["monitoring"]

    guest.button("Set permissions…").click()
    form = guest.dialog()
    form.get_by_label("Virtual host", exact=True).fill("/")
    form.get_by_label("Configure: which names").select_option("names that begin with …")
    form.get_by_label("Configure: beginning of the names").fill("mail.")
    form.get_by_label("Write: which names").select_option("a regular expression")
    form.get_by_label("Write: regular expression").fill("^mail|^amq.default$")
    expect(form).to_contain_text("names that begin with “mail.”")
    guest.answer("Set")
    [granted] = api("GET", "/users/mallory/permissions")
    assert granted == {"user": "mallory", "vhost": "/", "configure": r"^mail\.", "write": "^mail|^amq.default$", "read": ".*"}, granted
    assert may_declare("mallory", "secret", "mail.sent")
    assert not may_declare("mallory", "secret", "mails")

    guest.button("Set a limit…").click()
    form = guest.dialog()
    form.get_by_label("Limit", exact=True).select_option("max-connections")
    form.get_by_label("At most").fill("1")
    guest.answer("Set")
    expect(guest.row("max-connections")).to_contain_text("1")
    first = connection("mallory", "secret")
    try:
        connection("mallory", "secret").close()
        raise AssertionError("a second connection in spite of the limit")
    except pika.exceptions.AMQPConnectionError:
        pass
    first.close()

    guest.open("#/limits?kind=user", "Limits")
    guest.button("Remove max-connections of mallory").click()
    guest.answer("Remove")
    guest.said("max-connections of mallory is removed")
    expect(guest.row("mallory")).to_have_count(0)

    guest.open("#/permissions", "Permissions")
    guest.button("Remove the permissions of mallory in /").click()
    expect(guest.dialog()).to_contain_text("Remove the permissions of mallory in /?")
    guest.answer("Remove")
    expect(guest.row("mallory")).to_have_count(0)
    assert api("GET", "/users/mallory/permissions") == []

    guest.open("#/users", "Users")
    guest.button("Change the password of mallory").click()
    form = guest.dialog()
    form.get_by_label("New password").fill("fresh")
    form.get_by_label("Once more").fill("fresh")
    guest.answer("Change")
    eventually("the new password is good", lambda: api("GET", "/whoami", user="mallory", password="fresh"))

    guest.button("Delete mallory").click()
    guest.answer("Delete")
    # At once, and not with the next answer.
    expect(guest.row("mallory")).to_have_count(0, timeout=10_000)
    api("DELETE", "/queues/%2F/mail.sent")

    # An expression that cannot be used is not "no such name".
    for address, title in [("#/queues", "Queues"), ("#/policies", "Policies")]:
        guest.open(f"{address}?name=%5B&regex=true", title)
        expect(page.locator(".empty")).to_contain_text("This is no regular expression")

    # What a definitions file holds is said before it is sent, and afterwards.
    guest.open("#/", "Overview")
    guest.button("Upload…").click()
    for text, said in [("{", "is not JSON"), ('{"a": []}', "no definitions file"), ('{"users": 1}', "no definitions file")]:
        guest.dialog().get_by_label("File").set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": text.encode()})
        expect(guest.dialog().locator(".error")).to_contain_text(said)
    users = [one for one in api("GET", "/definitions")["users"] if one["name"] == "guest"]
    file = json.dumps({"users": users, "queues": [{"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}} for name in ("a", "b")]})
    guest.dialog().get_by_label("File").set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": file.encode()})
    expect(guest.dialog()).to_contain_text("It has 1 user, 2 queues.")
    expect(guest.dialog()).to_contain_text("Your own user, guest, is replaced")
    guest.answer("Upload")
    guest.said("1 user, 2 queues")
    for name in ("a", "b"):
        api("DELETE", f"/queues/%2F/{name}")
