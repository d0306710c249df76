"""Gives the task whose worker is killed, and waits for its result."""

from tasks import survive

print(survive.apply_async(queue="late").get(timeout=50), flush=True)
