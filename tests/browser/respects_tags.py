"""Who may see little sees little: no page of a user asks for what the broker refuses, or offers what it would refuse."""

import re

from browser import URL, api, browser, connection, expect
from world import furnished

OF_ADMINISTRATORS = {"Users", "Permissions", "Log"}


def entries(visitor):
    """What the navigation offers."""
    return visitor.page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link").all_inner_texts()


def go_everywhere(visitor, without=()):
    """Opens every page of the navigation but some; an error on the console, such as a refusal, fails the program in the end."""
    for entry in entries(visitor):
        if entry in without:
            continue
        link = visitor.link(entry, visitor.page.get_by_role("navigation", name="Pages", exact=True))
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        visitor.loaded()
        expect(visitor.page.locator("main .error")).to_have_count(0)


def offers(visitor, name):
    """How many buttons or links to do this are there."""
    return visitor.button(name).count() + visitor.link(name).count()


with furnished(), browser() as visitor:
    api("PUT", "/vhosts/secret", {})
    api("PUT", "/queues/secret/hidden", {"durable": True})
    api("PUT", "/queues/staging/seen", {"durable": True})
    api("PUT", "/users/reader", {"password": "reader", "tags": "management"})
    api("PUT", "/permissions/staging/reader", {"configure": "^$", "write": "^$", "read": ".*"})
    own = connection("reader", "reader", "staging")

    reader = visitor()
    reader.sign_in("reader", "reader")
    assert not OF_ADMINISTRATORS & set(entries(reader)), entries(reader)
    expect(reader.page.get_by_role("heading", name="Definitions")).to_have_count(0)
    go_everywhere(reader)

    reader.open("#/queues", "Queues")
    expect(reader.row("seen")).to_be_visible()
    expect(reader.page.get_by_text("1 queue", exact=True)).to_be_visible()
    reader.open("#/vhosts", "Virtual hosts")
    expect(reader.row("staging")).to_be_visible()
    expect(reader.row("secret")).to_have_count(0)
    assert offers(reader, "Add a virtual host…") == 0
    reader.open("#/policies", "Policies")
    assert offers(reader, "Add a policy…") == 0
    reader.open("#/limits", "Limits")
    assert offers(reader, "Set a limit…") == 0
    reader.open("#/connections", "Connections")
    expect(reader.page.locator("main tbody tr")).to_have_count(1)

    # What is asked for all the same is refused in a sentence.
    with reader.expecting("status of 40[134]"):
        for address in ["#/users", "#/log", "#/queues/secret/hidden"]:
            reader.page.goto("about:blank")
            reader.page.goto(f"{URL}/{address}")
            expect(reader.page.get_by_role("alert")).to_contain_text(re.compile("ou |Only administrators"))
            expect(reader.button("Sign out")).to_be_visible()
    # What the permissions forbid is not offered, and a sentence says what it is.
    lacks = reader.page.get_by_text("Your permissions do not let you")
    reader.open("#/queues", "Queues")
    expect(lacks).to_contain_text("declare or delete queues")
    assert offers(reader, "Declare a queue") == 0
    reader.open("#/queues/staging/seen", "seen")
    expect(lacks).to_contain_text("publish, move messages, change bindings or delete the queue")
    assert reader.button("Purge…").count() == 1
    for name in ["Delete…", "Publish", "Declare one like it"]:
        assert offers(reader, name) == 0, name
    expect(reader.page.get_by_text("Add a binding")).to_have_count(0)
    reader.open("#/queues/staging/seen?tab=messages", "seen")
    expect(reader.button("Get")).to_be_visible()
    assert offers(reader, "Move") == 0
    reader.open("#/exchanges/staging/amq.topic", "amq.topic")
    expect(lacks).to_contain_text("publish or change bindings")
    for name in ["Publish", "Bind"]:
        assert offers(reader, name) == 0, name
    # A virtual host that is refused leaves the choice of another.
    with reader.expecting("status of 404"):
        for address in ["#/map?vhost=secret", "#/queues?vhost=secret"]:
            reader.visit(address)
            expect(reader.page.locator("main .empty")).to_contain_text("You have no permissions in secret")
            expect(reader.page.get_by_label("Virtual host")).to_have_value("secret")
        reader.page.get_by_label("Virtual host").select_option("staging")
    expect(reader.row("seen")).to_be_visible()

    ops = visitor()
    ops.sign_in("ops", "ops")
    assert not OF_ADMINISTRATORS & set(entries(ops)), entries(ops)
    expect(ops.page.get_by_role("heading", name="Node")).to_be_visible()
    expect(ops.page.get_by_role("heading", name="Definitions")).to_have_count(0)
    # It sees that there are virtual hosts, but may not look into them.
    # How many queues there are beside a limit is asked for all the same.
    with ops.expecting("status of 404.*/api/queues/staging"):
        go_everywhere(ops)
    for address in ["#/queues", "#/exchanges", "#/streams", "#/map", "#/trace", "#/declare/queue"]:
        ops.visit(address)
        expect(ops.page.get_by_text("You have no permissions in any virtual host")).to_be_visible()
        expect(ops.page.get_by_text("pip install")).to_have_count(0)
    # With permissions in one of them these begin there.
    api("PUT", "/permissions/staging/ops", {"configure": ".*", "write": ".*", "read": ".*"})
    ops.page.reload()
    for address, title in [("#/map", "Map of staging"), ("#/trace", "Trace a message"), ("#/declare/queue", "Declare a queue")]:
        ops.open(address, title)
        expect(ops.page.locator("main form, main figure").first).to_be_visible()
    api("DELETE", "/permissions/staging/ops")
    ops.open("#/connections", "Connections")
    expect(ops.page.locator("main tbody tr")).to_have_count(2)
    own.close()

    # Without a tag there is nothing to see.
    nobody = visitor()
    with nobody.expecting("status of 401"):
        nobody.page.goto(URL)
        nobody.page.get_by_label("User name").fill("shop")
        nobody.page.get_by_label("Password").fill("shop")
        nobody.button("Sign in").click()
        expect(nobody.page.get_by_role("alert")).to_have_text("This user has none of the tags that open this page: an administrator can give it management.")
        expect(nobody.button("Sign in")).to_be_visible()
