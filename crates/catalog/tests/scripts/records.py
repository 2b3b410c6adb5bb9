"""Records that services are told to remove: those of hosts that left."""
import io
import unittest

from load import load

RECORDS = load("common/records", ["what.json"], {})
KNOWN_AS = load("openstack/nova/known-as", ["true"], {})
CINDER = load("openstack/cinder/left", ["n2"], {})
WHAT = {"config": "", "section": "s", "url": "https://x", "list": "/l", "items": "services", "id": "id", "host": "host"}
SERVICES = [{"id": 1, "host": "c1"}, {"id": 2, "host": "n2"}, {"id": 3, "host": "n22"}, {"id": 4}]


class Records(unittest.TestCase):
    def test_only_of_the_hosts_that_are_named(self):
        self.assertEqual([r["id"] for r in RECORDS.of_hosts(SERVICES, "host", ["n2", "n3"])], [2])
        self.assertEqual(RECORDS.of_hosts(SERVICES, "host", []), [])

    def told(self, status, lists=()):
        """Exit status where the removal of a record is answered so; and the requests."""
        asked = []
        lists = iter(lists or [SERVICES, [], []])

        def opened(_, method, url, *__):
            asked.append((method, url))
            return (200, {}, {"services": next(lists)}) if method == "GET" else (status, {}, "why")

        RECORDS.token = lambda *_: "t"
        RECORDS.time = type("t", (), {"sleep": staticmethod(lambda _: asked.append("pause"))})
        RECORDS.opened = opened
        RECORDS.ssl = type("ssl", (), {"create_default_context": staticmethod(lambda **_: None)})
        RECORDS.configparser = type(
            "c", (), {"RawConfigParser": staticmethod(lambda **_: type("C", (dict,), {"read": lambda *_: None})(s={"cafile": ""}))}
        )
        RECORDS.json = type("j", (), {"load": staticmethod(lambda _: WHAT)})
        RECORDS.open = lambda _: io.StringIO()
        RECORDS.print = lambda *_, **__: None
        names = {"argv": ["", "what.json", "n2"], "stdout": None, "stderr": None}
        RECORDS.sys = type("s", (), {**names, "exit": staticmethod(lambda code: asked.append(code))})
        RECORDS.main()
        return asked

    def test_a_record_that_is_kept_is_an_error(self):
        for status, code in [(204, 0), (404, 0), (409, 1), (500, 1)]:
            asked = self.told(status)
            self.assertEqual(asked[:2], [("GET", "https://x/l"), ("DELETE", "https://x/l/2")])
            self.assertEqual(asked[-1], code)

    def test_a_list_that_lacks_a_cell_is_not_the_last(self):
        asked = self.told(204, [[], SERVICES, []])
        get = ("GET", "https://x/l")
        self.assertEqual(asked, [get, "pause", get, ("DELETE", "https://x/l/2"), "pause", get, 0])

    def test_what_fails_for_the_moment_is_asked_for_again(self):
        records = load("common/records", ["what.json"], {})
        answers = [(0, {}, "refused"), (500, {}, "no database"), (503, {}, "no identity"), (204, {}, None)]
        left = iter(answers)
        records.ask = lambda *_: next(left)
        clock = type("time", (), {"monotonic": staticmethod(lambda: records.UNTIL - 1), "sleep": staticmethod(lambda _: None)})
        records.time = clock
        self.assertEqual(records.opened(None, "DELETE", "https://x", {}), answers[-1])
        # Not for ever.
        left = iter(answers)
        clock.monotonic = staticmethod(lambda: records.UNTIL + 1)
        self.assertEqual(records.opened(None, "DELETE", "https://x", {}), answers[0])

    def test_cinder_lists_hosts_with_their_back_ends(self):
        listing = """Binary           Host                                 Zone             Status     State Updated At
cinder-scheduler c1                                   nova             enabled    :-)   2026-01-01 00:00:00
cinder-scheduler n2                                   nova             enabled    XXX   2026-01-01 00:00:00
cinder-volume    n2@nfs                               nova             enabled    XXX   2026-01-01 00:00:00
cinder-volume    n22@nfs                              nova             enabled    XXX   2026-01-01 00:00:00
"""
        found = [("cinder-scheduler", "n2"), ("cinder-volume", "n2@nfs")]
        self.assertEqual(list(CINDER.of_hosts(listing, ["n2"])), found)


class KnownAs(unittest.TestCase):
    def test_a_host_is_who_it_was(self):
        node = lambda uuid, host: {"id": uuid, "service": {"host": host}}
        both = [node("a", "n1"), node("b", "n2")]
        self.assertEqual(KNOWN_AS.known_as(both, "n2"), "b")
        self.assertIsNone(KNOWN_AS.known_as(both, "n3"))
        with self.assertRaises(SystemExit):
            KNOWN_AS.known_as([*both, node("c", "n1")], "n1")


if __name__ == "__main__":
    unittest.main()
