"""An application on quorum queues: Celery then has the broker delay what has a countdown, in quorum
queues of its own from one of which it goes to the next as a dead letter."""

import os

from celery import Celery
from kombu import Exchange, Queue

PORT = os.environ["LEVERET_TEST_PORT"]

app = Celery("quorum_tasks", broker=f"amqp://guest:guest@127.0.0.1:{PORT}//", backend="rpc://")
app.conf.update(
    task_queues=[
        Queue(
            "jobs",
            Exchange("jobs", type="topic"),
            routing_key="jobs",
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    task_default_queue="jobs",
    task_default_exchange="jobs",
    task_default_exchange_type="topic",
    task_default_routing_key="jobs",
    task_create_missing_queues=False,
    broker_connection_retry_on_startup=True,
)


@app.task(bind=True, max_retries=5)
def flaky(self, failures):
    """Fails so often, then says how often it was tried."""
    if self.request.retries < failures:
        # Through two of the queues, for two seconds and for one.
        raise self.retry(countdown=3)
    return self.request.retries + 1
