"""Measures how cost grows with queues, connections, body size, and backlog."""

from report import lines, number, table
from runner import median, rate

QUEUES = [1, 10, 100, 1000]
CONNECTIONS = [2, 10, 100, 1000]
BODIES = [16, 256, 1024, 4096, 16384, 65536, 262144, 1048576]
BACKLOGS = [0, 10_000, 100_000, 1_000_000, 10_000_000]

# A standing backlog of the loads through a queue that has one.
BACKLOG_QUEUE = "leveretperf-bench-backlog"


def flags_of(kind, n):
    """Returns the load at one point of a curve."""
    if kind == "queues":
        return f"-s 100 -x 2 -y 2 -q {n}"
    if kind == "connections":
        # With confirms, or what the sockets of so many publishers hold would be gigabytes.
        return f"-s 100 -x {n // 2} -y {n // 2} -q {min(n // 2, 10)} -c 100"
    return f"-s {n}"


CURVES = [
    ("queues", QUEUES, "queues that two publishers and two consumers share, 100 B"),
    ("connections", CONNECTIONS, "connections, half of them publish (confirms, window 100) and half consume, 100 B"),
    ("bodies", BODIES, "body size in bytes, one to one"),
]


def run(runner, brokers, rounds, seconds, most_backlog, limit):
    """Returns {curve: {broker: {x: [figures]}}}."""
    results = {}
    for kind, xs, _ in CURVES:
        for turn in range(rounds):
            for n in xs:
                for broker in brokers:
                    arguments = f"{flags_of(kind, n)} -d {seconds}"
                    summary = runner.run(arguments, broker, note=f"{kind} {n}")
                    value = rate("consumed")(summary) if summary else None
                    add(results, kind, broker, n, value)
                    print(f"  {turn + 1}/{rounds} {kind} {n}: {broker.name} {number(value)}/s", flush=True)
    for n in (n for n in BACKLOGS if n <= most_backlog):
        for broker in brokers:
            backlog(runner, broker, n, seconds, limit, results)
    return results


def add(results, kind, broker, n, value):
    results.setdefault(kind, {}).setdefault(broker.name, {}).setdefault(n, []).append(value)


def backlog(runner, broker, n, seconds, limit, results):
    """Fills a queue, and measures throughput while the backlog is in it."""
    queue = f"-u {BACKLOG_QUEUE} -s 100"
    filled = runner.run(f"{queue} --replace --keep -y 0 --backlog {n}", broker, limit=limit)
    if filled:
        memory = broker.memory()
        through = runner.run(f"{queue} --predeclared -d {seconds}", broker, note=f"backlog {n}")
        value = rate("consumed")(through) if through else None
        add(results, "backlog", broker, n, value)
        add(results, "filling", broker, n, rate("published")(filled) if n else None)
        add(results, "memory", broker, n, memory)
        print(f"  backlog {n}: {broker.name} {number(value)}/s", flush=True)
    runner.remove(BACKLOG_QUEUE, broker)


def report(results, brokers):
    """Returns [(name, Markdown, plot)]."""
    names = [broker.name for broker in brokers]
    parts = []
    titles = [(kind, xs, title) for kind, xs, title in CURVES]
    titles.append(("backlog", BACKLOGS, "messages of 100 B that wait in the queue already, one to one"))
    for kind, xs, title in titles:
        curves = {b: results.get(kind, {}).get(b, {}) for b in names}
        xs = [n for n in xs if any(n in curve for curve in curves.values())]
        header, rows = [title], []
        header += [f"{b}, consumed" for b in names]
        if kind == "backlog":
            header += [f"{b}, filled" for b in names] + [f"{b}, resident" for b in names]
        for n in xs:
            row = [f"{n:,}".replace(",", " ")]
            for b in names:
                value = median(curves[b].get(n, []))
                cell = f"{number(value)}/s" if value else ""
                if kind == "bodies" and value:
                    cell += f", {value * n / 1e6:.0f} MB/s"
                row.append(cell)
            if kind == "backlog":
                for what, unit in (("filling", "/s"), ("memory", "B")):
                    for b in names:
                        value = median(results.get(what, {}).get(b, {}).get(n, []))
                        row.append(number(value, unit) if value else "")
            rows.append(row)
        series = {b: [(n, median(curves[b].get(n, []))) for n in xs] for b in names}
        plot = lines(kind, title, "messages per second", series)
        parts.append((kind, table(header, rows), plot))
    return parts
