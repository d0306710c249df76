"""Remote control, and the events of a task from one end to the other."""

import threading

from tasks import add, app

assert app.control.ping(timeout=20, limit=1) == [{"one@test": {"ok": "pong"}}]
inspect = app.control.inspect(timeout=20, limit=1)
(queues,) = inspect.active_queues().values()
assert [queue["name"] for queue in queues] == ["celery"]

wanted = ["task-sent", "task-received", "task-started", "task-succeeded"]
seen = {}
ready = threading.Event()


def listen():
    def on_event(event):
        if event.get("uuid") == task_id:
            seen[event["type"]] = event
            receiver.should_stop = all(kind in seen for kind in wanted)

    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": on_event})
        receiver.on_consume_ready = lambda *_, **__: ready.set()
        receiver.capture(limit=None, timeout=20)


task_id = "the-task-of-the-events"
listener = threading.Thread(target=listen, daemon=True)
listener.start()
assert ready.wait(20)
assert add.apply_async((1, 1), task_id=task_id).get(timeout=20) == 2
listener.join(20)
assert sorted(seen) == sorted(wanted), sorted(seen)

app.control.shutdown(destination=["one@test"])
