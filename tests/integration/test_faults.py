# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module on a machine whose state directory cannot be used, and as a user whom the machine does not know: each
ends with a result or a diagnosis, none with a traceback. In a mount namespace, with a podman that answers from a table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import CATALOGUE
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import PODMAN

from ..conftest import ROOT, cannot_run

# Python and the collection may lie where another user cannot look, so all is loaded before that user is taken on.
PROGRAM = """
import importlib, io, json, os, pkgutil, sys, tempfile
from contextlib import redirect_stdout, suppress
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
import ansible_collections.nodeforge.kic.plugins.module_utils as ours

uid, calls = json.loads(sys.argv[1])
for item in pkgutil.walk_packages(ours.__path__, ours.__name__ + "."):
    importlib.import_module(item.name)
names = "ansible_collections.nodeforge.kic.plugins.modules."
modules = {name: importlib.import_module(names + name) for name in calls}
with patch_module_args({}), redirect_stdout(io.StringIO()), suppress(SystemExit):
    AnsibleModule({}).exit_json(changed=False)
said = {}
for name, arguments in calls.items():
    with tempfile.TemporaryFile() as output:
        if not os.fork():
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            with patch_module_args(arguments):
                modules[name].main()
        os.wait()
        output.seek(0)
        said[name] = output.read().decode()
print(json.dumps(said))
"""

PODMAN_PROGRAM = """\
#!/bin/sh
case "$*" in
  info*) cat "{folder}/info.json" ;;
  "image inspect"*) cat "{folder}/image.json" ;;
  *inspect*|*exists*) exit 1 ;;
  *" ls "*|*" ls"|ps*|images*) ;;
  *) echo id ;;
esac
"""

STRANGER, NOBODY = 54321, 54322
"""A user whose home is the test's, and a number that no user has."""
HOME_STATE = ".local/state/nodeforge.kic"


@dataclass(frozen=True)
class Machine:
    """What is wrong with it, what makes it so in a mount namespace, who runs the module, and what oci_volume says of it."""

    name: str
    commands: str
    uid: int
    diagnosis: str
    words: tuple[str, ...]


MACHINES = (
    Machine(
        "no-inodes",
        "mount -t tmpfs -o nr_inodes=2 kic /var/lib && mkdir -m 700 /var/lib/nodeforge.kic",
        0,
        "file_system_full",
        ("/var/lib/nodeforge.kic/lock", "df -i /var/lib/nodeforge.kic"),
    ),
    Machine(
        "no-space",
        "mount -t tmpfs -o size=4k kic /var/lib && mkdir -m 700 /var/lib/nodeforge.kic && echo x >/var/lib/full",
        0,
        "",
        (),
    ),
    Machine(
        "read-only",
        "mount -t tmpfs kic /var/lib && mkdir -m 700 /var/lib/nodeforge.kic && mount -o remount,ro /var/lib",
        0,
        "file_system_read_only",
        ("/var/lib/nodeforge.kic/lock", "findmnt --target /var/lib/nodeforge.kic"),
    ),
    Machine(
        "read-only-without-directory",
        "mount -t tmpfs -o ro kic /var/lib",
        0,
        "file_system_read_only",
        ("/var/lib/nodeforge.kic", "findmnt --target /var/lib"),
    ),
    Machine(
        "state-of-root",
        f"mkdir -p $folder/home/{HOME_STATE}",
        STRANGER,
        "unsafe_directory",
        (HOME_STATE, "chown 54321"),
    ),
    Machine(
        "local-of-root",
        "mkdir -m 755 $folder/home/.local",
        STRANGER,
        "permission_denied",
        ("/home/.local belongs to root", "chown kictest"),
    ),
    Machine(
        "closed-state",
        f"mkdir -p $folder/home/{HOME_STATE}; chown -R 54321 $folder/home; chmod 0 $folder/home/.local",
        STRANGER,
        "permission_denied",
        ("/home/.local belongs to kictest and has the mode 0000", "chmod u+rwx"),
    ),
    Machine("no-user", "true", NOBODY, "user_unlisted", ("uid 54322", "useradd")),
)

NODE: dict[str, Any] = {"name": "t1", "image": "localhost/nodeforge/kic-node:v1", "volume": "none", "wait": False}
CALLS: dict[str, dict[str, Any]] = {
    "cgroup_delegation": {"user": "root"},
    "kic_cluster": {"name": "t", "state": "absent"},
    "kic_host": {"packages": ["kictest-package"]},
    "kic_kubeadm": {"node": "t1", "cluster": "t"},
    "kic_kubeconfig": {"cluster": "t", "state": "absent"},
    "kic_node": NODE,
    "kic_node_image": {"cluster": "t", "images": ["localhost/kictest:1"], "state": "absent"},
    "kic_node_info": {},
    "kic_snapshot": {"cluster": "t", "name": "one", "state": "absent"},
    "oci_engine_info": {},
    "oci_engine_probe": {},
    "oci_image": {"name": "localhost/kictest:1", "state": "absent"},
    "oci_network": {"name": "kictest"},
    "oci_volume": {"name": "kictest"},
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What any user may read: the podman of the test, its answers, and a home directory that is empty."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        cannot_run("needs root and unshare, for mounts and users of its own")
    path = Path(tempfile.mkdtemp(prefix="kictest-faults-"))
    path.chmod(0o755)
    shutil.copy(PODMAN / "info.json", path / "info.json")
    shutil.copy(PODMAN / "image-inspect.json", path / "image.json")
    program = path / "podman"
    program.write_text(PODMAN_PROGRAM.format(folder=path))
    program.chmod(0o755)
    (path / "passwd").write_text(
        Path("/etc/passwd").read_text() + f"kictest:x:{STRANGER}:{STRANGER}::{path}/home:/bin/sh\n"
    )
    (path / "home").mkdir()
    yield path
    shutil.rmtree(path)


def run(folder: Path, machine: Machine) -> dict[str, dict[str, Any]]:
    """Each module's result. Nothing of its machine is left when the namespace ends."""
    engines = {name: {} if name in ("cgroup_delegation", "kic_host") else {"engine": "podman"} for name in CALLS}
    request = json.dumps([machine.uid, {name: {**engines[name], **call} for name, call in CALLS.items()}])
    script = (
        "set -e; mount -t tmpfs -o mode=755 kic $folder/home; chown 54321 $folder/home;"
        f' mount --bind $folder/passwd /etc/passwd; {machine.commands}; exec "$@"'
    )
    namespace = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", PROGRAM, request],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"],
            "folder": str(folder),
        },
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {name: result(text) for name, text in json.loads(done.stdout).items()}


def result(said: str) -> dict[str, Any]:
    """What a module returned; nothing else may be in what it said."""
    assert "Traceback" not in said, said
    lines = [line for line in said.splitlines() if line.startswith("{")]
    assert lines, said
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_no_traceback(folder: Path, machine: Machine) -> None:
    """A result, or a diagnosis of the catalogue that is not our own defect, with a fix and with what was done."""
    found = run(folder, machine)
    for name, result in found.items():
        if not result.get("failed"):
            continue
        diagnosis = result["diagnosis"]
        assert diagnosis["id"] in CATALOGUE and diagnosis["id"] != "internal_error", (name, result)
        assert diagnosis["fix"] and diagnosis["fix"] in result["msg"]
        assert result["changed"] is bool(result["actions"]), (name, result)
    if machine.diagnosis:
        volume = found["oci_volume"]
        assert volume["diagnosis"]["id"] == machine.diagnosis, volume
        for word in machine.words:
            assert word in volume["msg"], volume


def test_every_module() -> None:
    """A module that is new is to be run here too."""
    assert {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} == {*CALLS}
