"""Retries that pass the same queues again: Celery 5.5 copies the headers of what it got into them."""

import time

from quorum_tasks import flaky

started = time.monotonic()
assert flaky.delay(2).get(timeout=40) == 3
assert time.monotonic() - started >= 6, "two countdowns"
