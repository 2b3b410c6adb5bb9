"""Who founds one of OVN's databases and who joins: see `catalog/infra/ovn/member`."""
import itertools
import json
import random
import socket
import threading
import unittest

from load import load

KNOWN = {
    "me": "c1",
    "members": [{"name": f"c{n}", "address": "127.0.0.1", "url": "127.0.0.1"} for n in (1, 2, 3)],
}
SCRIPT = load("infra/ovn/member", ["nb"], {"/etc/ovn/members.json": json.dumps(KNOWN)})


class Plain:
    """Stands for TLS."""

    @staticmethod
    def wrap_socket(plain, **_):
        return plain


SCRIPT.context = lambda _: Plain
ANSWER = b'{"id":"quorate","result":[],"error":null}'
PLEA = b'{"id":null,"method":"add_server_request","params":[{"from":"b1","address":"tcp:1"}]}'


def asked(behave):
    """What is made of a member that behaves so on a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        SCRIPT.MEMBERS = listener.getsockname()[1]

        def serve():
            connection, _ = listener.accept()
            with connection:
                behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        said = SCRIPT.ask(KNOWN["members"][1])
        thread.join(10)
        return said


def until_closed(connection):
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass


class Asking(unittest.TestCase):
    def test_silence_is_unknown(self):
        self.assertEqual(asked(until_closed), "unknown")

    def test_an_end_is_unknown(self):
        self.assertEqual(asked(lambda c: None), "unknown")

    def test_half_a_word_is_unknown(self):
        self.assertEqual(asked(lambda c: c.sendall(SCRIPT.NONE[:9])), "unknown")

    def test_another_protocol_is_unknown(self):
        self.assertEqual(asked(lambda c: c.sendall(b"SSH-2.0-x\r\n")), "unknown")

    def test_nobody_there_is_unknown(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            SCRIPT.MEMBERS = listener.getsockname()[1]
        self.assertEqual(SCRIPT.ask(KNOWN["members"][1]), "unknown")

    def test_none_is_said(self):
        self.assertEqual(asked(lambda c: c.sendall(SCRIPT.NONE)), "none")

    def test_a_server_answers(self):
        def server(connection):
            connection.recv(4096)
            connection.sendall(ANSWER)
            until_closed(connection)

        self.assertEqual(asked(server), "some")

    def test_a_server_that_is_not_let_in_has_none(self):
        def server(connection):
            connection.recv(4096)
            connection.sendall(ANSWER + PLEA[:30])
            connection.sendall(PLEA[30:])
            until_closed(connection)

        self.assertEqual(asked(server), "joining")


class Deciding(unittest.TestCase):
    def test_every_answer(self):
        words = ["none", "joining", "some", "unknown"]
        for first, *said in itertools.product([True, False], *[words] * 3):
            what = SCRIPT.decide(first, dict(enumerate(said)))
            if "some" in said:
                self.assertEqual(what, "join", said)
            elif first and "unknown" not in said:
                self.assertEqual(what, "found", said)
            else:
                self.assertEqual(what, "wait", said)

    def world(self, seed):
        """Hosts that ask one after the other and act on what they heard, at random moments;
        they are silent, switched off, and lose disks: one while a majority of the others has
        what was on it, or the founder before anybody else has it."""
        rng = random.Random(seed)
        hosts = rng.choice([1, 2, 3, 3, 3, 5])
        # None: no file; ("joining", of whom) or ("some", which).
        files = [None] * hosts
        heard = [{} for _ in range(hosts)]
        up = [rng.random() < 0.8 for _ in range(hosts)]
        founded, calm = 0, False
        for turn in range(1500):
            calm = calm or turn > 1000
            if calm:
                up = [True] * hosts
            elif rng.random() < 0.05:
                who = rng.randrange(hosts)
                up[who] = not up[who]
                heard[who] = {}
            who = rng.randrange(hosts)
            having = [h for h in range(hosts) if h != who and files[h] and files[h][0] == "some"]
            if not calm and files[who] and rng.random() < 0.03 and (2 * len(having) > hosts or not having):
                files[who], heard[who] = None, {}
            if not up[who]:
                continue
            if files[who]:
                state, whom = files[who]
                # It is let in by one that it asks.
                letting = [h for h in whom if up[h] and files[h] and files[h][0] == "some"] if state == "joining" else []
                if letting:
                    files[who] = ("some", files[letting[0]][1])
                continue
            left = [h for h in range(hosts) if h != who and h not in heard[who]]
            if left:
                other = rng.choice(left)
                silent = not up[other] or (not calm and rng.random() < 0.3)
                heard[who][other] = "unknown" if silent else files[other][0] if files[other] else "none"
                continue
            answers, heard[who] = heard[who], {}
            match SCRIPT.decide(who == 0, answers):
                case "join":
                    files[who] = ("joining", [h for h, said in answers.items() if said == "some"])
                case "found":
                    founded += 1
                    files[who] = ("some", founded)
            here = {f[1] for f in files if f and f[0] == "some"}
            self.assertLessEqual(len(here), 1, f"seed {seed}, turn {turn}: {files}")
        self.assertTrue(any(f and f[0] == "some" for f in files), f"seed {seed}: nobody founds: {files}")

    def test_never_two_and_one_when_all_answer(self):
        for seed in range(2000):
            self.world(seed)


unittest.main(verbosity=0)
