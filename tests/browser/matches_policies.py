"""The form of a policy says which queues its pattern matches before it is saved; then it applies to them."""

from browser import api, browser, eventually, expect

with browser() as visitor:
    for name in ["jobs.mail", "jobs.print", "other"]:
        api("PUT", f"/queues/%2F/{name}", {"durable": True})
    api("PUT", "/policies/%2F/first", {"pattern": "print$", "definition": {"message-ttl": 60000}, "priority": 5, "apply-to": "queues"})
    guest = visitor()
    page = guest.page
    guest.sign_in(address="#/policies")
    guest.at("Policies")
    guest.link("Add a policy").click()
    expect(page.get_by_label("Name", exact=True)).to_be_visible()
    matches = page.get_by_role("status", name="Objects that match")

    page.get_by_label("Name", exact=True).fill("bounded")
    page.get_by_label("Applies to").select_option("queues")
    # Typed, an expression is not complete most of the time.
    with guest.expecting("status of 400"):
        page.get_by_label("Pattern").fill("^jobs[")
        expect(matches).to_contain_text("The broker cannot use this")
        page.get_by_label("Pattern").fill(r"^jobs\.")
        expect(matches).to_contain_text("2 queues")
    expect(matches.get_by_role("link", name="jobs.mail")).to_be_visible()
    expect(matches).to_contain_text("1 of these keeps another policy, which comes first: first")
    expect(matches.get_by_role("link", name="other")).to_have_count(0)
    page.get_by_label("Priority").fill("10")
    expect(matches).not_to_contain_text("keeps another policy")

    guest.button("Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Add a setting")
    page.get_by_label("Add a setting").select_option("max-length")
    page.get_by_label("max-length", exact=True).fill("1000")
    # Values are typed as for the arguments of a queue.
    page.get_by_label("Add a setting").select_option("message-ttl")
    page.get_by_label("message-ttl", exact=True).fill("soon")
    guest.button("Save").click()
    expect(page.get_by_role("alert")).to_contain_text("message-ttl is a whole number")
    page.get_by_label("message-ttl", exact=True).fill("90s")
    expect(page.get_by_text("90,000 ms (1 min 30 s)")).to_be_visible()
    guest.button("Save").click()
    guest.at("Policies")
    expect(guest.row("bounded")).to_contain_text("message-ttl: 90,000 ms")
    expect(guest.row("bounded")).to_contain_text("max-length: 1,000")
    eventually("the policy applies", lambda: api("GET", "/queues/%2F/jobs.print")["policy"] == "bounded")
    guest.open("#/queues", "Queues")
    expect(guest.row("jobs.mail")).to_contain_text("bounded")
    expect(guest.row("other")).not_to_contain_text("bounded")

    # An operator policy is among those.
    api("PUT", "/operator-policies/%2F/strict", {"pattern": "^other$", "definition": {"max-length": 5}, "apply-to": "queues"})
    guest.link("strict", guest.row("other")).click()
    guest.at("Policies")
    expect(guest.row("strict")).to_contain_text("max-length: 5")
    expect(guest.row("first")).to_have_count(0)

    guest.open("#/policies", "Policies")
    guest.button("Delete bounded").click()
    guest.answer("Delete")
    expect(guest.row("bounded")).to_have_count(0)
    eventually("the other one applies again", lambda: api("GET", "/queues/%2F/jobs.print")["policy"] == "first")
