#!/usr/bin/env python3
"""Compares two builds of the broker: both run, and short bursts of load alternate between them.

  benches/bursts.py old/leveret target/release/leveret --loads 16B,1KiB --bursts 20

A burst of one is followed at once by a burst of the other, in the order ABBA, and each pair gives a ratio: what the machine
does for longer than a pair falls on both. Builds are started afresh several times, because where memory and threads happen
to land lasts as long as a process; the ratio of each start is printed too. Needs nothing but Python 3 and leveretperf.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from runner import Broker, Runner, percentile, rate

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Name, flags, and what is measured: rates, of which more is better, except for the last.
LOADS = {
    "16B": ("-s 16", rate("consumed")),
    "16B-publish": ("-s 16 -y 0", rate("published")),
    "1KiB": ("-s 1024", rate("consumed")),
    "1KiB-4x4": ("-s 1024 -x 4 -y 4 -q 4", rate("consumed")),
    "16KiB": ("-s 16384", rate("consumed")),
    "persistent": ("-s 1024 -p -c 1000 -a -P 500", rate("consumed")),
    "persistent-fill": ("-s 1024 -p -c 1000 -y 0", rate("confirmed")),
    "connections": ("connection-churn -x 4", rate("cycles")),
    "confirm-p50": ("-s 1024 -p -c 1 -a -P 1", percentile("confirm_latency", "p50")),
}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="the program leveret to compare with")
    parser.add_argument("new", help="the program leveret to compare")
    parser.add_argument("--loads", default="16B,1KiB,persistent", help=", ".join(LOADS))
    parser.add_argument("--starts", type=int, default=3, help="how often both are started afresh")
    parser.add_argument("--bursts", type=int, default=10, help="pairs of bursts after each start")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each burst")
    parser.add_argument("--perf", help="the program leveretperf; default: the one beside the new build")
    parser.add_argument("--out", help="a file for the figures of each pair, in JSON lines")
    options = parser.parse_args()
    options.loads = options.loads.split(",")
    unknown = [name for name in options.loads if name not in LOADS]
    if unknown:
        parser.error(f"no load {', '.join(unknown)}; there are {', '.join(LOADS)}")
    options.perf = options.perf or str(pathlib.Path(options.new).resolve().parent / "leveretperf")
    for program in (options.old, options.new, options.perf):
        if not os.access(program, os.X_OK):
            parser.error(f"no program {program}")
    return options


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Build:
    """A broker of a build, on an empty directory and a free port."""

    def __init__(self, program):
        self.directory = tempfile.mkdtemp(prefix="leveret-bursts-")
        port = free_port()
        command = [program, "--port", str(port), "--data-dir", self.directory, "--log-level", "error"]
        environment = dict(os.environ, LEVERET_MANAGEMENT_PORT="0")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        self.broker = Broker(f"{program}=127.0.0.1:{port},{self.process.pid}")
        deadline = time.monotonic() + 10
        while not answers(port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                sys.exit(f"bursts.py: {program} does not start")
            time.sleep(0.05)

    def burst(self, runner, load, seconds):
        """Returns the figure and the broker's processor seconds for each unit of it."""
        flags, take = LOADS[load]
        summary = runner.run(f"{flags} -d {seconds}", self.broker, limit=60)
        if summary is None:
            sys.exit(f"bursts.py: the load {load} failed")
        value = take(summary)
        return value, summary["broker_processor_seconds"] / value

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def pairs(runner, options, load, start):
    """Starts both builds and yields the figures of each pair of bursts."""
    builds = []
    try:
        for program in (options.old, options.new):
            builds.append(Build(program))
        for build in builds:
            # Not counted: memory is asked for and threads are started.
            build.burst(runner, load, options.seconds)
        for pair in range(options.bursts):
            order = (0, 1) if (pair + start) % 2 == 0 else (1, 0)
            figures = {at: builds[at].burst(runner, load, options.seconds) for at in order}
            (old, old_cost), (new, new_cost) = figures[0], figures[1]
            yield {"load": load, "start": start, "pair": pair, "old": old, "new": new,
                   "old_cost": old_cost, "new_cost": new_cost}
    finally:
        for build in builds:
            build.end()


def line(load, measured):
    """The ratios of a load: their median and middle half, and the median of each start."""
    ratios = sorted(each["new"] / each["old"] for each in measured)
    starts = sorted({each["start"] for each in measured})
    by_start = [statistics.median(each["new"] / each["old"] for each in measured if each["start"] == start)
                for start in starts]
    costs = [each["new_cost"] / each["old_cost"] for each in measured if each["old_cost"] > 0]
    cost = f"{statistics.median(costs):.3f}" if costs else "unknown"
    quarter = len(ratios) // 4
    return (f"{load}: new : old {statistics.median(ratios):.3f} "
            f"({ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f}, {len(ratios)} pairs); by start "
            f"{' '.join(f'{each:.3f}' for each in by_start)}; processor time {cost}; old "
            f"{statistics.median(each['old'] for each in measured):.4g}")


def main():
    options = arguments()
    runner = Runner(options.perf)
    measured = {}
    for start in range(options.starts):
        for load in options.loads:
            for figures in pairs(runner, options, load, start):
                measured.setdefault(load, []).append(figures)
                if options.out:
                    with open(options.out, "a") as out:
                        out.write(json.dumps(figures) + "\n")
    for load, figures in measured.items():
        print(line(load, figures))


if __name__ == "__main__":
    main()
