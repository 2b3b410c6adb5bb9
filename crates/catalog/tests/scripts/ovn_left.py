"""Who is forgotten by OVN's databases: members of hosts that left, once they are silent."""
import contextlib
import io
import pathlib
import types

CATALOG = pathlib.Path(__file__).resolve().parents[4] / "catalog"
STATUS = """a1b2
Name: OVN_Northbound
Status: cluster member
Role: leader
Servers:
    4c1e (4c1e at ssl:198.18.0.11:6643) (self) next_index=2 match_index=10
    9f02 (9f02 at ssl:198.18.0.14:6643) next_index=11 match_index=10 last msg 120 ms ago
    7777 (7777 at ssl:[fd00::15]:6643) last msg 3 ms ago
"""


def kicked(known, silent, status=STATUS):
    """Members that are kicked, where only `silent` places take no connection."""
    script = types.ModuleType("script")
    source = (CATALOG / "infra/ovn/left").read_text()
    exec(compile(source, "left", "exec"), script.__dict__)
    members = [{"url": url} for url in known]
    out = []

    def run(words, **_):
        if "cluster/kick" in words:
            out.append((words[-2], words[-1]))
        return types.SimpleNamespace(stdout=status, returncode=0)

    script.json = types.SimpleNamespace(load=lambda _: {"members": members})
    script.open = lambda _: contextlib.nullcontext(io.StringIO())
    script.subprocess = types.SimpleNamespace(run=run)
    script.silent = lambda place: place in silent
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        script.main()
    return {one for _, one in out}


V4, V6 = "198.18.0.14:6643", "[fd00::15]:6643"
ALL = ["198.18.0.11", "198.18.0.14", "[fd00::15]"]
assert kicked(ALL, [V4, V6]) == set()
assert kicked(ALL[:1], [V4, V6]) == {"9f02", "7777"}
# One that still runs is not forgotten under its feet.
assert kicked(ALL[:1], [V6]) == {"7777"}
# One that is no member itself forgets nobody.
assert kicked(ALL[:1], [V4, V6], STATUS.replace("cluster member", "joining cluster")) == set()


def told(status, known=ALL):
    script = types.ModuleType("script")
    source = (CATALOG / "infra/ovn/left").read_text()
    exec(compile(source, "left", "exec"), script.__dict__)
    return [what for what, _ in script.faults("OVN_Northbound", status, set(known))]


WHOLE = STATUS.replace("Role: leader", "Role: leader\nLeader: self\nLog: [2, 11]")
assert told(WHOLE) == []
assert told("") == []
one = "OVN's northbound database: the member at 198.18.0.14:6643"
assert told(WHOLE.replace("Log: [2, 11]", "Log: [2, 900]"))[0] == f"{one} is 890 entries behind"
assert told(WHOLE.replace("last msg 120 ms ago", "last msg 60000 ms ago")) == [f"{one} is not heard"]
assert told(WHOLE.replace(" last msg 120 ms ago", "")) == [f"{one} is not heard"]
# A follower knows nothing of others, but of who leads and who is counted.
follower = WHOLE.replace("Role: leader", "Role: follower").replace("120 ms", "60000 ms")
assert told(follower) == []
assert told(follower.replace("Leader: self", "Leader: unknown")) == [
    "OVN's northbound database has no leader: nothing is written"
]
assert told(WHOLE, ALL[:2]) == [
    "OVN's northbound database counts a member at [fd00::15]:6643, which is no host of the cloud"
]
