"""Measures latency: compared with the bare disk and a bare relay, with a backlog, and during a flood."""

import time

from report import number, table
from runner import median, percentile, rate

BACKLOG_QUEUE = "leveretperf-bench-backlog"
FLOOD = "-u leveretperf-bench-flood --replace -s 1024 -d 600"


def run(runner, brokers, rounds, seconds, disk, backlog, limit):
    """Returns {(what, who): [figures]}, where who is a broker's name or what it is compared with."""
    figures = {}

    def add(what, who, arguments, take, broker=None):
        summary = runner.run(arguments, broker, note=what)
        value = take(summary) if summary else None
        figures.setdefault((what, who), []).append(value)
        print(f"  {what}: {who} {number(value, 'us')}", flush=True)
        return summary

    for _ in range(rounds):
        p50 = percentile("latency", "p50")
        add("confirm", "append + fdatasync", f"disk -s 1024 --dir {disk} -d {seconds}", p50)
        add("confirm", "the same, length known before",
            f"disk -s 1024 --preallocate --dir {disk} -d {seconds}", p50)
        for broker in brokers:
            add("confirm", broker.name, f"-s 1024 -p -c 1 -y 0 -d {seconds}",
                percentile("confirm_latency", "p50"), broker)
        add("unloaded", "a relay (tokio)", f"relay -r 500 -s 100 -d {seconds}", p50)
        for broker in brokers:
            add("unloaded", broker.name, f"-r 500 -s 100 -l -d {seconds}", p50, broker)
    for broker in brokers:
        beside_a_backlog(runner, broker, rounds, seconds, backlog, limit, add)
        beside_a_flood(runner, broker, rounds, seconds, add)
    return figures


def beside_a_backlog(runner, broker, rounds, seconds, backlog, limit, add):
    """Runs half the load that the broker can carry, first alone, then while another queue has a backlog."""
    measured = [runner.run(f"-s 1024 -d {seconds}", broker, note="capacity") for _ in range(rounds)]
    capacity = median([rate("consumed")(summary) for summary in measured if summary])
    if capacity is None:
        return
    half = f"-s 1024 -l -r {int(capacity / 2)} -d {seconds}"
    for _ in range(rounds):
        add("half, alone", broker.name, half, percentile("latency", "p99.9"), broker)
    fill = f"-u {BACKLOG_QUEUE} --replace --keep -y 0 -s 1024 --backlog {backlog}"
    if runner.run(fill, broker, limit=limit):
        for _ in range(rounds):
            add("half, backlog", broker.name, half, percentile("latency", "p99.9"), broker)
    runner.remove(BACKLOG_QUEUE, broker)


def beside_a_flood(runner, broker, rounds, seconds, add):
    """Runs a slow publisher, and a hundred of them, while another publishes as fast as it can."""
    p99 = percentile("latency", "p99")
    one = f"-u leveretperf-bench-one --replace -r 100 -s 100 -l -d {seconds}"
    hundred = f"-u leveretperf-bench-hundred --replace -x 100 -y 10 -q 10 -r 10 -s 100 -l -d {seconds}"
    for _ in range(rounds):
        add("one, alone", broker.name, one, p99, broker)
        add("hundred, alone", broker.name, hundred, p99, broker)
        flood = runner.start(FLOOD, broker)
        time.sleep(1)
        add("one, flood", broker.name, one, p99, broker)
        add("hundred, flood", broker.name, hundred, p99, broker)
        # What the machine itself does to somebody who is no client of the broker.
        add("relay, flood", broker.name, f"relay -r 100 -s 100 -d {seconds}", p99)
        runner.end(flood, FLOOD, broker)


def report(figures, brokers, backlog):
    """Returns Markdown: the measurements with their targets."""
    names = [broker.name for broker in brokers]

    def of(what, who):
        return median(figures.get((what, who), []))

    bare, laid = of("confirm", "append + fdatasync"), of("confirm", "the same, length known before")
    relay = of("unloaded", "a relay (tokio)")
    header = ["what", "compared with", *names, "target"]

    def cells(what, more=lambda value: ""):
        return [number(of(what, b), "us") + (more(of(what, b)) if of(what, b) else "") for b in names]

    def times(value):
        return f" ({value / bare:.2f} times)" if bare else ""

    def above(value):
        return f" ({value - relay:+.0f} us)" if relay else ""

    rows = [
        ["1 KiB persistent, confirms one at a time, no consumer: p50",
         f"append + fdatasync {number(bare, 'us')}; into a file whose length is known before "
         f"{number(laid, 'us')}",
         *cells("confirm", times), "1.3 times the append"],
        ["100 B transient, 500 a second, publishing to delivery: p50",
         f"the same through a process that only passes on: {number(relay, 'us')}",
         *cells("unloaded", above), "30 us above that"],
        ["1 KiB transient at half of what it can carry: p99.9", "", *cells("half, alone"), ""],
        [f"the same while {backlog:,} wait in another queue: p99.9".replace(",", " "), "",
         *cells("half, backlog"), "10 ms"],
        ["one publisher, 100 a second: p99", "", *cells("one, alone"), ""],
        ["the same beside a flood of 1 KiB: p99", "", *cells("one, flood"), ""],
        ["100 publishers, 10 a second each, over 10 queues: p99", "", *cells("hundred, alone"), ""],
        ["the same beside that flood: p99", "", *cells("hundred, flood"), ""],
        ["no client of the broker: 100 a second through the relay beside that flood: p99", "",
         *cells("relay, flood"), ""],
    ]
    return table(header, rows)
