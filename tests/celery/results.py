"""Tasks, a group, a chain and retries, with their results over rpc://."""

import time

from celery import chain, group

from tasks import add, flaky

assert add.delay(2, 3).get(timeout=20) == 5
assert group(add.s(n, n) for n in range(10)).apply_async().get(timeout=20) == list(range(0, 20, 2))
assert chain(add.s(1, 2), add.s(3), add.s(4)).apply_async().get(timeout=20) == 10

started = time.monotonic()
assert add.apply_async((4, 4), countdown=0.5).get(timeout=20) == 8
assert time.monotonic() - started >= 0.5, "the countdown"

started = time.monotonic()
assert flaky.delay(2).get(timeout=20) == 3
assert time.monotonic() - started >= 0.6, "two countdowns"
