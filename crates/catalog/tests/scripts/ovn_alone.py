"""When one of OVN's databases begins anew with what one host holds: `catalog/infra/ovn/alone`."""
import contextlib
import io
import json
import os
import pathlib
import tempfile
import types
import unittest

from load import load

KNOWN = {
    "me": "c1",
    "members": [{"name": f"c{n}", "address": f"127.0.0.{n}", "url": f"127.0.0.{n}"} for n in (1, 2, 3)],
}


def story(folder, leaders, heard=(), words=("nb",), holds="old"):
    """Commands that are run, the exit status, and what the file holds at the end; `leaders`: what
    the member says of its leader each time it is asked, the last one for ever."""
    script = load("infra/ovn/alone", list(words), {})
    script.open = lambda name, *mode: (
        contextlib.nullcontext(io.StringIO(json.dumps(KNOWN))) if "members.json" in name else open(name, *mode)
    )
    script.FILE = os.path.join(folder, "ovnnb_db.db")
    script.ASIDE = os.path.join(folder, "aside")
    if holds:
        pathlib.Path(script.FILE).write_text(holds)
    ran, said = [], list(leaders)

    def run(argv, **_):
        if "cluster/status" in argv:
            leader = said.pop(0) if len(said) > 1 else said[0]
            return types.SimpleNamespace(stdout=f"Status: cluster member\nLeader: {leader}\n" if leader else "")
        ran.append(argv[1])
        if argv[0] == "ovsdb-tool":
            pathlib.Path(argv[2]).write_text(argv[1])
        return types.SimpleNamespace(returncode=0)

    clock = iter(range(10_000))
    script.time = types.SimpleNamespace(monotonic=lambda: next(clock), time=lambda: 7, sleep=lambda _: None)
    script.subprocess = types.SimpleNamespace(run=run)
    script.hears = lambda member: member["name"] in heard
    status = 0
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            script.main()
        except SystemExit as end:
            status = end.code
    path = pathlib.Path(script.FILE)
    return ran, status, path.read_text() if path.exists() else None


class Alone(unittest.TestCase):
    def setUp(self):
        self.made = tempfile.TemporaryDirectory()
        self.folder = self.made.name
        self.addCleanup(self.made.cleanup)

    def test_it_begins_anew_and_keeps_what_was(self):
        ran, status, holds = story(self.folder, ["unknown"] * 25 + ["self"])
        self.assertEqual((status, holds), (0, "create-cluster"))
        self.assertEqual(ran, ["cluster-to-standalone", "create-cluster", "try-restart"])
        kept = pathlib.Path(self.folder, "aside/ovn-nb-7/ovnnb_db.db")
        self.assertEqual(kept.read_text(), "old")

    def test_a_database_that_has_a_leader_is_left(self):
        self.assertEqual(story(self.folder, ["unknown", "c2"]), ([], 0, "old"))

    def test_a_host_without_one_begins_nothing(self):
        self.assertEqual(story(self.folder, [""], holds=""), ([], 0, None))

    def test_beside_another_that_runs_nothing_begins(self):
        ran, status, holds = story(self.folder, ["unknown"], heard=["c3"])
        self.assertEqual((ran, holds), ([], "old"))
        self.assertIn("c3", status)

    def test_done_tells_only(self):
        for leader, status in [("self", 0), ("unknown", 1), ("", 1)]:
            self.assertEqual(story(self.folder, [leader], words=("nb", "done")), ([], status, "old"))


if __name__ == "__main__":
    unittest.main()
