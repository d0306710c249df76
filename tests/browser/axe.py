"""axe-core on the page as it is."""

from importlib import resources

SOURCE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
RUN = """() => axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(
    ({ id, impact, help, nodes }) => ({ id, impact, help, where: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`) })))"""


def findings(page):
    """What axe-core finds that is serious or critical, and headings that leave out a level, a text each."""
    # By the debugger's protocol, which the page's policy on scripts does not stop.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(SOURCE)
    found = page.evaluate(RUN)
    grave = [one for one in found if one["impact"] in ("serious", "critical") or one["id"] == "heading-order"]
    return [f"{one['impact']}: {one['id']}: {one['help']}\n  " + "\n  ".join(one["where"][:5]) for one in grave]
