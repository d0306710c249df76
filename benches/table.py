"""Measures the table of rates: eight loads, and the memory of the broker after them."""

import time

from report import bars, number, ratio, table
from runner import median, percentile, rate

# Name, flags, what is measured, its unit, and what LavinMQ 2.9.1 was measured at as a multiple of
# RabbitMQ 3.10.8 on two cores.
LOADS = [
    ("16 B transient, auto-ack, 1 to 1", "-s 16", rate("consumed"), "/s", 8.1),
    ("16 B transient, publish only", "-s 16 -y 0", rate("published"), "/s", 34),
    ("1 KiB transient, auto-ack, 1 to 1", "-s 1024", rate("consumed"), "/s", 3.1),
    ("1 KiB transient, 4 to 4 over 4 queues", "-s 1024 -x 4 -y 4 -q 4", rate("consumed"), "/s", 4.9),
    ("16 KiB transient, 1 to 1", "-s 16384", rate("consumed"), "/s", 1.1),
    ("1 KiB persistent, confirms (window 1000), ack each, prefetch 500",
     "-s 1024 -p -c 1000 -a -P 500", rate("consumed"), "/s", 7.4),
    ("the same, no consumer (all to disk)", "-s 1024 -p -c 1000 -y 0", rate("confirmed"), "/s", 10.8),
    ("the same, one at a time (window 1, prefetch 1): confirm p50",
     "-s 1024 -p -c 1 -a -P 1", percentile("confirm_latency", "p50"), "us", 1.72),
]


def run(runner, brokers, rounds, seconds):
    """Runs every load against every broker in turn, for several rounds."""
    figures = {}
    for turn in range(rounds):
        for name, flags, take, unit, _ in LOADS:
            for broker in brokers:
                summary = runner.run(f"{flags} -d {seconds}", broker, note=f"round {turn + 1}")
                value = take(summary) if summary else None
                figures.setdefault((name, broker.name), []).append(value)
                print(f"  {turn + 1}/{rounds} {name}: {broker.name} {number(value, unit)}", flush=True)
    # The ceiling of the generator with the same bytes, to show that it is not the bottleneck.
    ceilings = {}
    for name, flags, take, unit, _ in LOADS:
        if unit == "/s":
            summary = runner.run(f"ceiling {flags} -d {min(seconds, 3)}")
            ceilings[name] = take(summary) if summary else None
    # Buffers are freed after a quiet period.
    time.sleep(3)
    memory = {b.name: (b.memory(), b.memory("VmHWM")) for b in brokers}
    return figures, ceilings, memory


def report(results, brokers, reference, lavinmq):
    """Returns Markdown and a plot."""
    figures, ceilings, memory = results
    names = [broker.name for broker in brokers]
    others = [name for name in names if name != reference]
    header = ["load", "flags", *names, *[f"{name} : {reference}" for name in others]]
    header += (["LavinMQ : RabbitMQ"] if lavinmq else []) + ["ceiling of the generator"]
    rows, groups = [], []
    for name, flags, _, unit, peer in LOADS:
        values = {b: median(figures[name, b]) for b in names}
        spread = {b: [v for v in figures[name, b] if v] for b in names}
        cells = []
        for b in names:
            cell = number(values[b], unit)
            if len(spread[b]) > 1:
                cell += f" ({number(min(spread[b]))} to {number(max(spread[b]))})"
            cells.append(cell)
        ratios = [ratio(values[b], values[reference], unit == "us") for b in others]
        row = [name, f"`{flags}`", *cells, *ratios]
        row += [str(peer)] if lavinmq else []
        rows.append(row + [number(ceilings.get(name), unit) if ceilings.get(name) else ""])
        if unit == "/s":
            groups.append((name.split(", confirms")[0], values))
    if any(rss for rss, _ in memory.values()):
        cells = []
        for b in names:
            rss, peak = memory[b]
            cells.append(f"{number(rss, 'B')} ({number(peak, 'B')})" if rss else "")
        ratios = [ratio(memory[b][0], memory[reference][0], True) for b in others]
        row = ["resident after all this (peak)", "", *cells, *ratios]
        rows.append(row + ([""] if lavinmq else []) + [""])
    plot = bars("Messages per second (logarithmic)", groups, names, "/s")
    return table(header, rows), plot
