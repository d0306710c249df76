"""The application: its configuration and its tasks."""

import os
import time

from celery import Celery
from kombu import Queue

PORT = os.environ["LEVERET_TEST_PORT"]
NOTES = os.environ["LEVERET_TEST_NOTES"]

app = Celery("tasks", broker=f"amqp://guest:guest@127.0.0.1:{PORT}//", backend="rpc://")
app.conf.update(
    task_queues=[
        Queue("celery"),
        Queue("urgent", queue_arguments={"x-max-priority": 10}),
        Queue("late"),
    ],
    task_create_missing_queues=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    task_send_sent_event=True,
)


def note(name, line):
    """Appends a line that the test reads."""
    with open(os.path.join(NOTES, name), "a", encoding="utf-8") as file:
        file.write(line + "\n")


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=5)
def flaky(self, failures):
    """Fails so often, then says how often it was tried."""
    if self.request.retries < failures:
        raise self.retry(countdown=0.3)
    return self.request.retries + 1


@app.task(acks_late=True)
def write_down(line):
    note("order", line)
    return line


@app.task(bind=True, acks_late=True)
def survive(self):
    """Hangs in the worker that gets it first, and is done in the one that gets it again."""
    if not self.request.delivery_info["redelivered"]:
        note("survive", "first")
        time.sleep(600)
    note("survive", "again")
    return "done"
