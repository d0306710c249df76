"""Queues tasks of several priorities, before there is a worker."""

from tasks import write_down

for n in range(12):
    priority = n % 4 * 3
    write_down.apply_async((f"{priority} {n}",), queue="urgent", priority=priority)
