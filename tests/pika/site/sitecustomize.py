"""Python runs this file first when its folder is on PYTHONPATH.

It lets programs that were written for a broker on localhost:5672, for versions of pika older
than the Python at hand, run as they are:

- LEVERET_TEST_PORT becomes pika's default port;
- LEVERET_TEST_SECOND is how many seconds `time.sleep(1)` takes, so that tasks of several
  "seconds" do not hold up the tests;
- names that pika before 1.0 needs and newer Pythons have dropped are put back.
"""
import collections
import collections.abc
import importlib.abc
import importlib.machinery
import os
import sys
import time

# pika 0.x asks for collections.Callable, which moved to collections.abc in Python 3.3 and left
# its old place in 3.10.
if not hasattr(collections, "Callable"):
    collections.Callable = collections.abc.Callable

# pika 0.10 and 0.11 have an attribute called `async` in their libev adapter, a syntax error since
# Python 3.7. pika goes without the adapter if importing it fails with ImportError, as None makes it.
sys.modules["pika.adapters.libev_connection"] = None


class _DefaultPort(importlib.abc.MetaPathFinder):
    """Sets pika's default port as soon as pika.connection has been imported."""

    def __init__(self, port):
        self.port = port

    def find_spec(self, name, path, target=None):
        if name != "pika.connection":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        execute, port = spec.loader.exec_module, self.port

        def exec_module(module):
            execute(module)
            module.Parameters.DEFAULT_PORT = port

        spec.loader.exec_module = exec_module
        return spec


def _shorten_sleep(second):
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(seconds * second)


if "LEVERET_TEST_PORT" in os.environ:
    sys.meta_path.insert(0, _DefaultPort(int(os.environ["LEVERET_TEST_PORT"])))
if "LEVERET_TEST_SECOND" in os.environ:
    _shorten_sleep(float(os.environ["LEVERET_TEST_SECOND"]))
