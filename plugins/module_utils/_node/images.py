# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in a node: what its containerd holds for Kubernetes, and by which names a pod finds them.

An image is compared by its id, the digest of its configuration, which podman and docker use as well. containerd names an
image by the digest of its manifest; the part of it that serves Kubernetes adds ``sha256:ID`` as one more name of each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._core import checks
from .._core.diagnosis import KicError, failure
from .._host.machine import architecture_of

LOOK_SECONDS = 30.0
"""How long one question to a node's containerd may take."""

BUSY = 75
"""The exit code of the script images-look where containerd does not answer (EX_TEMPFAIL of sysexits.h)."""

CTR = ("ctr", "--namespace", "k8s.io")
"""containerd's client, in the namespace of Kubernetes."""

_ID = re.compile(r"sha256:([0-9a-f]{64})")
_SOURCE = re.compile(r"nodeforge\.kic\.source=([0-9a-f]{64})\.([0-9a-f]{64})")
"""The label by which images-load.sh notes an id of a store that has ids of its own, with the digest that it is true of."""


@dataclass(frozen=True)
class Held:
    """What the containerd of a node holds."""

    architecture: str = ""
    targets: Mapping[str, str] = field(default_factory=dict)
    """Digests of manifests by name, without ``sha256:``."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Ids that another store has for the image of a name."""

    def ids(self, name: str) -> frozenset[str]:
        """By what the image of the name may be known: its id, the digest of its manifest, an id of another store."""
        target = self.targets.get(name)
        if target is None:
            return frozenset()
        configurations = {
            match.group(1)
            for other, digest in self.targets.items()
            if digest == target and (match := _ID.fullmatch(other))
        }
        marks = {self.marks[name]} if name in self.marks else set()
        return frozenset({target, *configurations, *marks})

    def name_of(self, identity: str) -> str | None:
        """A name that leads to the image, if it is there at all; one that a person gave before the one by its id."""
        found = [name for name in self.targets if identity in self.ids(name)]
        return min(found, key=lambda name: (_ID.fullmatch(name) is not None, name), default=None)

    def only_name(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names by their ids that are left over when ``names`` go: without them the image can go too."""
        gone = {self.targets[name] for name in names if name in self.targets}
        kept = {digest for name, digest in self.targets.items() if name not in names and not _ID.fullmatch(name)}
        return tuple(
            sorted(name for name, digest in self.targets.items() if _ID.fullmatch(name) and digest in gone - kept)
        )


def decode(text: str) -> Held:
    """What images-look.sh prints: the machine, then the table of ``ctr images ls``."""
    machine, _newline, table = text.partition("\n")
    targets, marks = {}, {}
    for line in table.split("\n"):
        fields = line.split()
        match = _ID.fullmatch(fields[2]) if len(fields) > 2 else None
        if match is None:
            continue
        targets[fields[0]] = match.group(1)
        noted = _SOURCE.search(line)
        if noted is not None and noted.group(2) == match.group(1):
            marks[fields[0]] = noted.group(1)
    return Held(architecture_of(machine.strip()), targets, marks)


def names_in_node(name: str) -> tuple[str, ...]:
    """Full names by which pods find the image ``name``, which has a tag.

    A name with a registry is itself. Of one without, Kubernetes makes one of Docker Hub (``docker.io/library/app:1``), as
    docker does, and podman one of this machine (``localhost/app:1``). It gets both, so that a manifest means the same
    image on both engines.
    """
    if name.startswith("localhost/"):
        return (name,)
    registry = checks.image_registry(name)
    if registry in ("docker.io", "index.docker.io"):
        return (_of_hub(name.partition("/")[2]),)
    if registry is not None:
        return (name,)
    return (_of_hub(name), f"localhost/{name}")


def _of_hub(path: str) -> str:
    return f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"


def refuse_unanswered(node: str, engine: str, output: str) -> KicError:
    """The failure of a node whose containerd does not answer."""
    return failure("containerd_not_answering", node=node, engine=engine, output=output)
