#!/usr/bin/env python3
"""Measures brokers with leveretperf and writes docs/develop/performance: tables, plots and raw figures.

  cargo build --release
  benches/run.py all --broker RabbitMQ=127.0.0.1:5692,PID --broker Leveret=127.0.0.1:5672,PID

  benches/run.py tls --cacert ca.pem --broker RabbitMQ=127.0.0.1:5692,PID,tls=localhost:5691 --broker ...

Every broker named is measured in turn within each round, so that what else the machine does falls
on all of them; medians of the rounds are compared with the reference, the first broker unless
--reference names another. Needs nothing but Python 3 and leveretperf.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time

import growth
import latency
import table
import tls
from runner import Broker, Runner

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=["table", "growth", "latency", "tls", "all"],
                        help="all: table, growth and latency")
    parser.add_argument("--broker", action="append", required=True, metavar="NAME=HOST:PORT[,PID][,tls=HOST:PORT]",
                        help="a broker that runs, with guest/guest; may be given several times")
    parser.add_argument("--cacert", metavar="FILE",
                        help="the authority of the brokers' certificates, for tls")
    parser.add_argument("--reference", metavar="NAME", help="whom to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--perf", default=str(ROOT / "target/release/leveretperf"),
                        help="the program leveretperf")
    parser.add_argument("--out", default=str(ROOT / "docs/develop/performance"), help="where to write")
    parser.add_argument("--disk", default=".", help="a directory on the disk that the brokers use")
    parser.add_argument("--most-backlog", type=int, default=10_000_000,
                        help="the longest backlog of the growth runs")
    parser.add_argument("--latency-backlog", type=int, default=1_000_000,
                        help="the backlog beside which latency is measured")
    parser.add_argument("--limit", type=float, default=900, metavar="SECONDS",
                        help="a backlog that takes longer to fill is given up")
    return parser.parse_args()


def machine(options, load_before):
    """A line about where and how it was measured."""
    with open("/proc/cpuinfo") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({model}), Linux "
        f"{platform.release().split('-')[0]}; brokers and generator share them over loopback; load of "
        f"the machine before: {load_before:.1f}; medians of {options.rounds} x {options.seconds:g} s."
    )


def write(directory, name, text):
    path = directory / name
    path.write_text(text)
    print(f"wrote {path}")


def main():
    options = arguments()
    try:
        brokers = [Broker(each) for each in options.broker]
    except ValueError as error:
        sys.exit(f"run.py: {error}")
    names = [broker.name for broker in brokers]
    reference = options.reference or names[0]
    if reference not in names:
        sys.exit(f"run.py: --reference {reference} is not one of {', '.join(names)}")
    if options.section == "tls" and not (options.cacert and any(b.tls_address for b in brokers)):
        sys.exit("run.py: tls needs --cacert, and tls=HOST:PORT of the brokers that have it")
    if not os.access(options.perf, os.X_OK):
        sys.exit(f"run.py: no {options.perf}: cargo build --release, or --perf")
    directory = pathlib.Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    where = machine(options, os.getloadavg()[0])
    runner = Runner(options.perf)
    every = options.section == "all"
    note = f"<!-- Written by benches/run.py. -->\n\n{where}\n\n"
    try:
        if every or options.section == "table":
            lavinmq = "rabbit" in reference.lower()
            results = table.run(runner, brokers, options.rounds, options.seconds)
            markdown, plot = table.report(results, brokers, reference, lavinmq)
            write(directory, "table.md", f"# The table\n\n{note}{markdown}\n![rates](table.svg)\n")
            write(directory, "table.svg", plot)
        if every or options.section == "growth":
            results = growth.run(runner, brokers, options.rounds, options.seconds,
                                 options.most_backlog, options.limit)
            text = f"# How cost grows\n\n{note}"
            for name, markdown, plot in growth.report(results, brokers):
                write(directory, f"growth-{name}.svg", plot)
                text += f"## {name.capitalize()}\n\n{markdown}\n![{name}](growth-{name}.svg)\n\n"
            write(directory, "growth.md", text.rstrip() + "\n")
        if every or options.section == "latency":
            figures = latency.run(runner, brokers, options.rounds, options.seconds, options.disk,
                                  options.latency_backlog, options.limit)
            markdown = latency.report(figures, brokers, options.latency_backlog)
            write(directory, "latency.md", f"# Latency\n\n{note}{markdown}")
        if options.section == "tls":
            results = tls.run(runner, brokers, options.rounds, options.seconds, options.cacert)
            write(directory, "tls.md", f"# With TLS\n\n{note}{tls.report(results, brokers, reference)}")
    finally:
        # Also what was measured before something went wrong.
        runs = ",\n".join(json.dumps(run) for run in runner.raw)
        head = json.dumps({"machine": where, "reference": reference})[1:-1]
        write(directory, f"{options.section}.json", f'{{{head}, "runs": [\n{runs}\n]}}\n')


if __name__ == "__main__":
    main()
