#!/usr/bin/env python3
"""Makes, of what `quorate render` wrote, what site.yml and ../chain-eight.sh put on hosts.

    prepare.py RENDERED STATE TO

RENDERED: the folder of `quorate render --to`. STATE: `.quorate/NAME` beside the cloud
file, whose vault has the secrets that stand as placeholders in rendered files. TO: a new
folder for its owner alone, with

    HOST.tar        a host's files and folders, each with its owner and mode
    first.xml       the cluster's configuration without stores and what needs a schema
    cib.xml         all of it
    vars.json       what a playbook must know besides: secrets, addresses, units that are
                    masked, run by systemd, or disabled, and the cluster's by service
    vars.sh         the same for a shell

It is what an operator without quorate would have in a repository of configuration and
in a vault of Ansible's own. Run before any clock begins; needs the library `pyrage`.
"""
import io
import json
import pathlib
import re
import shlex
import sys
import tarfile
import time
import xml.etree.ElementTree as xml

import pyrage

PLACEHOLDER = re.compile("⟦secret:([^⟧]+)⟧")
# What of the cluster needs no schema: all but the units of services, which begin so ...
OF_SERVICES = "quorate-"
# ... and the databases of the networks, which make their own.
BUT_NOT = "quorate-ovn-"
# Stores that were born before are taken over with the services, when nobody writes.
BORN = ("galera", "rabbitmq")


def vault(state):
    key = next(line for line in (state / "vault.key").read_text().splitlines() if line.startswith("AGE-SECRET-KEY-"))
    identity = pyrage.x25519.Identity.from_str(key)
    plain = pyrage.decrypt((state / "vault.age").read_bytes(), [identity])
    return {name: entry["value"] for name, entry in json.loads(plain).items()}


def fill(content, secrets):
    """Placeholders by what they stand for; what is no text has none."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    return PLACEHOLDER.sub(lambda found: secrets[found[1]], text).encode()


class Host:
    """What a host's page says that it should have."""

    def __init__(self, folder):
        self.folder = folder
        self.masks, self.units, self.disabled, self.services, self.entries = [], [], [], {}, []
        for line in (folder / "host.txt").read_text().splitlines():
            word, _, rest = line.partition(" ")
            if word == "mask":
                self.masks.append(rest)
            elif word == "unit":
                unit, _, run = rest.partition(" ")
                if run.endswith("run by systemd"):
                    self.units.append(unit)
                    continue
                if not unit.startswith(OF_SERVICES):
                    # The distribution's own, which its package enables.
                    self.disabled.append(unit)
                service = run.removeprefix("of ").partition(",")[0]
                self.services.setdefault(service, []).append(unit)
            elif word in ("directory", "file"):
                path, owner, mode = rest.split(",")[0].split(" ")[:3]
                self.entries.append((word, path, *owner.split(":"), int(mode, 8)))

    def archive(self, to, secrets):
        with tarfile.open(to, "w") as archive:
            for word, path, owner, group, mode in self.entries:
                entry = tarfile.TarInfo(path.lstrip("/"))
                # By name: numbers differ between hosts.
                entry.uname, entry.gname, entry.mode, entry.mtime = owner, group, mode, time.time()
                if word == "directory":
                    entry.type = tarfile.DIRTYPE
                    archive.addfile(entry)
                else:
                    content = fill((self.folder / entry.name).read_bytes(), secrets)
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


def configuration(text, first):
    """The element that `cibadmin --replace --scope configuration` takes."""
    whole = xml.fromstring(text).find("configuration")
    if not first:
        return xml.tostring(whole, encoding="unicode")
    resources, constraints = whole.find("resources"), whole.find("constraints")
    gone = set()
    for resource in list(resources):
        primitive = resource if resource.tag == "primitive" else resource.find("primitive")
        unit = primitive.get("type")
        of_service = unit.startswith(OF_SERVICES) and not unit.startswith(BUT_NOT)
        if of_service or primitive.get("id") in BORN:
            gone |= {resource.get("id"), primitive.get("id")}
            resources.remove(resource)
    for constraint in list(constraints):
        if gone & {constraint.get(key) for key in ("rsc", "with-rsc", "first", "then")}:
            constraints.remove(constraint)
    return xml.tostring(whole, encoding="unicode")


def main(rendered, state, to):
    secrets = vault(state)
    to.mkdir(mode=0o700)
    hosts = {page.parent.name: Host(page.parent) for page in sorted(rendered.glob("*/host.txt"))}
    for name, host in hosts.items():
        host.archive(to / f"{name}.tar", secrets)
    cib = fill((rendered / "cib.xml").read_bytes(), secrets).decode()
    (to / "first.xml").write_text(configuration(cib, first=True))
    (to / "cib.xml").write_text(configuration(cib, first=False))
    first = next(iter(hosts))
    cloud = json.loads((rendered / first / "var/lib/quorate/model.json").read_text())["cloud"]
    told = {
        "prepared": str(to.resolve()),
        "first": first,
        "addresses": {host["name"]: host["address"] for host in cloud["hosts"]},
        "vips": {vip["service"]: vip["address"] for vip in cloud["vips"]},
        "secrets": secrets,
        "masks": {name: host.masks for name, host in hosts.items()},
        "units": {name: host.units for name, host in hosts.items()},
        "disabled": {name: host.disabled for name, host in hosts.items()},
        "services": hosts[first].services,
    }
    (to / "vars.json").write_text(json.dumps(told, indent=1))
    lines = [f"first={shlex.quote(first)}"]
    for name in ("addresses", "vips", "secrets", "masks", "units", "disabled", "services"):
        pairs = ((key, value if isinstance(value, str) else " ".join(value)) for key, value in told[name].items())
        lines.append(f"declare -A {name}=({' '.join(f'[{key}]={shlex.quote(value)}' for key, value in pairs)})")
    (to / "vars.sh").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: prepare.py RENDERED STATE TO")
    main(*map(pathlib.Path, sys.argv[1:]))
