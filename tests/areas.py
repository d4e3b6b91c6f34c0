# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The areas of the tests: what each holds, which files can change its results, and where it may run.

Works without ansible-core and on Python 3.9, as tests/conftest.py does.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SHARED = ("tests/conftest.py", "tests/areas.py", "tests/passes.py", "pyproject.toml", "requirements/test.txt")
"""Files that change the results of every area."""


@dataclass(frozen=True)
class Area:
    """Tests that belong together: they prove one thing, and need the same of a machine.

    ``tests`` and ``unaffected`` are patterns of paths from the root of the checkout; a file that matches ``unaffected``
    cannot change a result here. ``stream`` is the process of a run that executes them: tests of one stream never run at the
    same time, those of two may. "" leaves each file to any process.
    """

    name: str
    proves: str
    tests: tuple[str, ...]
    stream: str
    unaffected: tuple[str, ...] = ()
    about_tests: bool = False
    """Whether the tests of the other areas are among what is tested here."""
    beside: tuple[str, ...] = ()
    """Files of the area, or single tests by their node id, that leave this machine's engines as they are, and so need not wait
    for those that use them."""

    def stream_of(self, nodeid: str) -> str:
        """The stream of a test of the area."""
        return "" if {nodeid, nodeid.partition("::")[0]} & set(self.beside) else self.stream

    def holds(self, path: str) -> bool:
        """Tell whether a test file is in this area."""
        return _matches(path, self.tests)

    def affected_by(self, path: str) -> bool:
        """Tell whether a change of a file can change a result of this area."""
        owner = next((area for area in AREAS if area.holds(path)), None)
        if path in SHARED or owner is self:
            return True
        return (owner is None or self.about_tests) and not _matches(path, self.unaffected)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _integration(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_{name}.py" for name in names)


_TEXT = ("*.md", "changelogs/*", "LICENSES/*", "docs/*", "examples/*", ".ci/*", ".github/*", "benchmarks/*")
_NODES_ONLY = ("plugins/module_utils/_kubernetes/*", "roles/kic_cluster/*", "playbooks/*", "plugins/action/*")
_TESTS = ("tests/integration/*", "tests/hosts/*", "tests/cleanroom/*")

AREAS = (
    Area("unit", "functions, without an engine", ("tests/unit/*",), "", _TESTS),
    Area(
        "lint",
        "linters, types, ansible-test sanity, what the tarball holds",
        ("tests/lint/*",),
        "lint",
        (),
        True,
    ),
    Area(
        "cleanroom",
        "the README, typed on a bare Debian",
        ("tests/cleanroom/*",),
        "cleanroom",
        ("tests/integration/*",),
    ),
    Area(
        "host",
        "control groups of version 2, systemd and an ordinary user, in a virtual machine",
        _integration("delegation", "host_nodes", "role_host"),
        "host",
        (*_TEXT, "tests/cleanroom/*"),
    ),
    Area(
        "modules",
        "each module on this machine's podman and docker",
        _integration(
            "bad_input",
            "failures",
            "faults",
            "image",
            "inventory",
            "kubeconfig",
            "locking",
            "names",
            "network",
            "node",
            "node_drift",
            "own_containerd",
            "probe",
            "progress",
            "replacement",
            "rootless",
            "secrecy",
            "storage",
            "strangers_configuration",
            "volume",
        ),
        "engines",
        (*_TEXT, *_NODES_ONLY, "tests/cleanroom/*", "tests/hosts/*"),
        beside=_integration("faults", "progress"),
    ),
    Area(
        "stories",
        "clusters from nothing to nothing on podman and docker",
        _integration(
            "story",
            "kind",
            "site",
            "check_mode",
            "states",
            "ownership",
            "kubeadm_alone",
            "pod_network",
            "pod_network_nodes",
            "role_cluster",
            "allocatable",
            "boot",
            "node_image",
            "containerd_image_store",
        ),
        "engines",
        (*_TEXT, "tests/cleanroom/*", "tests/hosts/*"),
        beside=(*_integration("role_cluster"), "tests/integration/test_site.py::test_check_mode_without_an_engine"),
    ),
    Area(
        "lives",
        "clusters that change while somebody works with them: nodes, releases, certificates",
        _integration("high_availability", "upgrade", "snapshot", "prune", "certificates"),
        "engines",
        (*_TEXT, "tests/cleanroom/*", "tests/hosts/*"),
    ),
    Area(
        "kills",
        "runs that are killed on their way to each state of a cluster, on engines",
        _integration("killed"),
        "engines",
        (*_TEXT, "tests/cleanroom/*", "tests/hosts/*"),
    ),
    Area(
        "conformance",
        "Kubernetes' own conformance tests, on podman",
        ("tests/conformance/*",),
        "engines",
        (*_TEXT, "tests/cleanroom/*", "tests/hosts/*"),
    ),
    Area(
        "projects",
        "the collection in the repositories of others: Galaxy, Molecule, ansible-core's versions, the documentation",
        ("tests/integration/test_*.py",),
        "engines",
        ("changelogs/*", "LICENSES/*", ".ci/*", "benchmarks/*", "tests/cleanroom/*", "tests/hosts/*"),
        beside=(
            *_integration("release"),
            "tests/integration/test_galaxy.py::test_module_defaults_reach_every_module",
        ),
    ),
)
"""A test file belongs to the first area that holds it; so what no other area names is in the last one."""


def area_of(nodeid: str) -> Area:
    """The area of a test, by its node id or path."""
    path = nodeid.partition("::")[0]
    return next((area for area in AREAS if area.holds(path)), AREAS[-1])


def contents() -> dict[str, str]:
    """Digest of each file of the checkout that git knows or would add, by its path; without git there are none."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    found = {}
    for name in sorted(filter(None, done.stdout.decode().split("\0"))):
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            found[name] = sha256(path.read_bytes()).hexdigest()
    return found


def state_of(area: Area, files: dict[str, str], machine: str) -> str:
    """Digest of all that the results of an area depend on: files, and the programs of the machine."""
    parts = [machine, *(f"{name} {digest}" for name, digest in files.items() if area.affected_by(name))]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def together(nodeid: str) -> str:
    """What a test is run with, all or none: the chapters of a story stand on each other, any other test is its own."""
    path, _colons, test = nodeid.partition("::")
    if path != "tests/integration/test_story.py" or "[" not in test:
        return nodeid
    return f"{path}[{test.partition('[')[2].rstrip(']').partition('-')[0]}]"
