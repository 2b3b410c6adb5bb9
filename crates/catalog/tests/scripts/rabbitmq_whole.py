"""A broker joins the others again: see `catalog/infra/rabbitmq/whole`."""
import os
import subprocess
import tempfile
import types
import unittest

from load import load

SCRIPT = load("infra/rabbitmq/whole", ["http://127.0.0.1:1", "/none"], {})


class Ended(Exception):
    """The test has seen enough."""


class Broker:
    """`rabbitmqctl`, of which each word ends as is told, the last ever after."""

    def __init__(self, **ends):
        self.ends, self.said, self.runs = ends, [], True

    def run(self, argv, **_):
        word = argv[-1]
        self.said.append(word)
        if len(self.said) > 20:
            raise Ended
        ends = self.ends.get(word, [0])
        end = ends.pop(0) if len(ends) > 1 else ends[0]
        if end == "slow":
            raise subprocess.TimeoutExpired(argv, 150)
        if end == 0:
            self.runs = word == "start_app"
        return types.SimpleNamespace(returncode=end)


class Joining(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        SCRIPT.STOPPED = os.path.join(folder.name, "stopped")

    def play(self, broker, looks):
        """The program's loop; `looks`: whether it is apart at each, and nothing more after them."""
        looks = iter(looks)

        def outside():
            if not broker.runs:
                raise OSError("connection refused")
            for look in looks:
                return look
            raise Ended

        SCRIPT.outside = outside
        SCRIPT.subprocess = types.SimpleNamespace(run=broker.run, TimeoutExpired=subprocess.TimeoutExpired)
        SCRIPT.time = types.SimpleNamespace(sleep=lambda _: None)
        with self.assertRaises(Ended):
            SCRIPT.main()
        return broker

    def test_one_that_is_apart_for_a_while_joins_again(self):
        self.assertEqual(self.play(Broker(), [True, True, False, True, True]).said, [])
        self.assertEqual(self.play(Broker(), [True] * 3).said, ["stop_app", "start_app"])

    def test_it_is_started_until_it_runs(self):
        broker = self.play(Broker(start_app=[1, "slow", 70, 0]), [True] * 3)
        self.assertEqual(broker.said, ["stop_app"] + ["start_app"] * 4)
        self.assertTrue(broker.runs)
        self.assertFalse(os.path.exists(SCRIPT.STOPPED))

    def test_a_slow_stop_is_followed_by_a_start(self):
        broker = self.play(Broker(stop_app=["slow"]), [True] * 3)
        self.assertEqual(broker.said, ["stop_app", "start_app"])

    def test_one_that_was_ended_in_between_goes_on(self):
        broker = Broker(start_app=[1])
        self.play(broker, [True] * 3)
        self.assertFalse(broker.runs)
        again = Broker()
        again.runs = False
        self.assertEqual(self.play(again, []).said, ["start_app"])

    def test_what_an_operator_stopped_stays_so(self):
        broker = Broker()
        broker.runs = False
        with self.assertRaises(Ended):
            looks = iter(range(50))

            def sleep(_):
                if next(looks, None) is None:
                    raise Ended

            SCRIPT.subprocess = types.SimpleNamespace(run=broker.run, TimeoutExpired=subprocess.TimeoutExpired)
            SCRIPT.time = types.SimpleNamespace(sleep=sleep)

            def outside():
                raise OSError

            SCRIPT.outside = outside
            SCRIPT.main()
        self.assertEqual(broker.said, [])


unittest.main(verbosity=0)
