"""Runs leveretperf against brokers, one after the other, and keeps what it measured."""

import json
import os
import statistics
import subprocess
import sys
import time


class Broker:
    """NAME=HOST:PORT, with ,PID where its memory and processor time are wanted, and ,tls=HOST:PORT
    for its listener with TLS."""

    def __init__(self, text):
        name, equals, place = text.partition("=")
        address, *more = place.split(",")
        self.name, self.address, self.pid, self.tls_address = name, address, None, None
        wrong = not (name and equals and ":" in address)
        for part in more:
            if part.isdigit():
                self.pid = int(part)
            elif part.startswith("tls=") and ":" in part:
                self.tls_address = part.removeprefix("tls=")
            else:
                wrong = True
        if wrong:
            raise ValueError(f"{text!r} is not NAME=HOST:PORT[,PID][,tls=HOST:PORT]")

    def memory(self, field="VmRSS"):
        """Resident bytes (or VmHWM, the most it ever was); None where it is not known."""
        try:
            with open(f"/proc/{self.pid}/status") as status:
                for line in status:
                    if line.startswith(field + ":"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return None

    def processor(self):
        """Seconds of processor time it has used; None where it is not known."""
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

    def command(self, arguments, broker=None, address=None):
        command = [self.program, *arguments.split(), "--json", "--quiet"]
        return command + (["--address", address or broker.address] if broker else [])

    def run(self, arguments, broker=None, limit=300, note=None, address=None):
        """The summary of a run, with the broker's processor time; None if it failed. An address in
        place of the broker's own is another of its listeners."""
        before = broker.processor() if broker else None
        try:
            ended = subprocess.run(
                self.command(arguments, broker, address),
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
        """Starts a load that goes on beside others; end it with `end`."""
        return subprocess.Popen(
            self.command(arguments, broker),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def end(self, process, arguments, broker):
        """Ends such a load as Ctrl-C would, and keeps its summary."""
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
    """Takes messages per second out of a summary."""
    return lambda summary: summary[name]["per_second"]


def percentile(kind, name):
    """Takes microseconds out of a summary, if there are any: kind is latency or confirm_latency."""
    return lambda summary: summary.get(f"{kind}_us", {}).get(name)


def median(values):
    """The median of what is not None; None if that is nothing."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None
