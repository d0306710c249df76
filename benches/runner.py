"""Runs leveretperf against brokers, one after the other, and keeps the results."""

import json
import os
import statistics
import subprocess
import sys
import time


class Broker:
    """A broker: NAME=HOST:PORT, or NAME=HOST:PORT,PID to measure its memory and processor time too."""

    def __init__(self, text):
        name, equals, place = text.partition("=")
        address, _, pid = place.partition(",")
        if not (name and equals and ":" in address) or (pid and not pid.isdigit()):
            raise ValueError(f"{text!r} is not NAME=HOST:PORT or NAME=HOST:PORT,PID")
        self.name, self.address = name, address
        self.pid = int(pid) if pid else None

    def memory(self, field="VmRSS"):
        """Returns its resident memory in bytes (or the peak, VmHWM); None if unknown."""
        try:
            with open(f"/proc/{self.pid}/status") as status:
                for line in status:
                    if line.startswith(field + ":"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return None

    def processor(self):
        """Returns the seconds of processor time it has used; None if unknown."""
        try:
            with open(f"/proc/{self.pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return None


class Runner:
    """Runs leveretperf and remembers every figure."""

    def __init__(self, program):
        self.program = program
        self.raw = []

    def command(self, arguments, broker=None):
        command = [self.program, *arguments.split(), "--json", "--quiet"]
        return command + (["--address", broker.address] if broker else [])

    def run(self, arguments, broker=None, limit=300, note=None):
        """Returns the summary of a run, with the broker's processor time; None if it failed."""
        before = broker.processor() if broker else None
        try:
            ended = subprocess.run(
                self.command(arguments, broker),
                capture_output=True, text=True, timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return self.failed(arguments, broker, f"took longer than {limit} s")
        if ended.returncode != 0:
            return self.failed(arguments, broker, ended.stderr.strip())
        summary = json.loads(ended.stdout)
        if broker:
            after = broker.processor()
            if before is not None and after is not None:
                summary["broker_processor_seconds"] = after - before
            summary["broker_rss"] = broker.memory()
        self.keep(arguments, broker, summary, note)
        return summary

    def failed(self, arguments, broker, why):
        where = broker.name if broker else "no broker"
        print(f"  {where}: leveretperf {arguments}: {why}", file=sys.stderr)
        self.keep(arguments, broker, {"error": why}, None)
        return None

    def keep(self, arguments, broker, summary, note):
        self.raw.append({
            "arguments": arguments,
            "broker": broker.name if broker else None,
            "note": note,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "summary": summary,
        })

    def start(self, arguments, broker):
        """Starts a load in the background; end it with `end`."""
        return subprocess.Popen(
            self.command(arguments, broker),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def end(self, process, arguments, broker):
        """Ends a background load as Ctrl-C would, and keeps its summary."""
        process.terminate()
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return self.failed(arguments, broker, "did not end")
        if process.returncode != 0:
            return self.failed(arguments, broker, err.strip())
        summary = json.loads(out)
        self.keep(arguments, broker, summary, "beside another")
        return summary

    def remove(self, queue, broker):
        """Removes a queue that a run has left."""
        self.run(f"-u {queue} --replace -C 0 -y 0", broker, note="cleaning")


def rate(name):
    """Returns a function that gets messages per second from a summary."""
    return lambda summary: summary[name]["per_second"]


def percentile(kind, name):
    """Returns a function that gets microseconds from a summary, if any: kind is latency or confirm_latency."""
    return lambda summary: summary.get(f"{kind}_us", {}).get(name)


def median(values):
    """Returns the median of the values that are not None, or None if there are none."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None
