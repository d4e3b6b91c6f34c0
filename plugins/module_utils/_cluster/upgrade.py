# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a cluster to another release of Kubernetes, as operations. Pure: table tests prove that no kubelet is ever newer
than an API server.

kubelet comes with a node's container, the control plane with kubeadm. So all control planes are upgraded in the containers
that they have, one after the other, and then the containers are replaced: those of the control planes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._core.diagnosis import failure
from .._core.operations import Operation
from .._kubernetes.bootstrap.configuration import release_of, version_of
from .kinds import CONTROL_PLANE, KUBERNETES, NODE, REGISTERED, RELEASE

OLDEST_KUBELET = 3
"""How many minor releases a kubelet may be older than its API server (kubernetes.io, Version Skew Policy)."""


@dataclass(frozen=True)
class Member:
    """A node of the cluster, and the releases in it, such as v1.34.4."""

    name: str
    made_by: str
    """Of the kubeadm that made or upgraded it last: of a control plane that of its API server."""
    kubelet: str
    """Of its container's image."""
    plane: bool
    declared: bool = True
    """Whether it is declared, so that its container can be replaced."""
    leaves: bool = False
    """Whether it leaves the cluster in the same run."""


@dataclass(frozen=True)
class Upgrade:
    """What is upgraded to the release ``target``."""

    target: str
    first: str
    """The control plane that upgrades what is the cluster's; the API is asked in it."""
    members: tuple[Member, ...]

    @property
    def planes(self) -> list[Member]:
        """The control planes whose API server is older, in their order."""
        found = [item for item in self.members if item.plane and self._older(item.made_by)]
        return sorted(found, key=lambda item: (item.name != self.first, item.name))

    @property
    def containers(self) -> list[Member]:
        """The nodes whose containers are replaced, in their order; the control plane that is asked is the last of its kind."""
        found = [item for item in self.members if item.declared and self._older(item.kubelet)]
        return sorted(found, key=lambda item: (not item.plane, item.name == self.first, item.name))

    @property
    def needed(self) -> bool:
        """Whether there is anything to upgrade."""
        return bool(self.planes or self.containers)

    @property
    def left(self) -> list[str]:
        """The nodes whose kubelet stays older, as they are not declared."""
        return [item.name for item in self._staying if self._older(item.kubelet)]

    @property
    def _staying(self) -> list[Member]:
        return [item for item in self.members if not item.declared and not item.leaves]

    def _older(self, release: str) -> bool:
        return version_of(release) < version_of(self.target)

    @property
    def staged(self) -> tuple[str, ...]:
        """The key of the operation after which the nodes that run have the images of the new release."""
        return (f"stage {RELEASE} {self.target}",)

    @property
    def gate(self) -> tuple[str, ...]:
        """The key of the operation after which new nodes may join: the last one, as a join needs a cluster that is at rest."""
        last = [f"upgrade {KUBERNETES} {item.name}" for item in self.containers]
        return tuple((last or [f"upgrade {CONTROL_PLANE} {item.name}" for item in self.planes])[-1:])

    def operations(self, complete: Sequence[str]) -> list[Operation]:
        """What is done.

        :param complete: keys of the operations that make the nodes complete which are there.
        """
        if not self.needed:
            return []
        names = {item.name for item in (*self.planes, *self.containers)}
        # Nodes that run take the images: kube-proxy's is needed in all of them before their containers are replaced.
        found = [
            Operation("stage", RELEASE, self.target, needs=tuple(f"start {NODE} {name}" for name in sorted(names)))
        ]
        last: tuple[str, ...] = (*complete, found[0].key)
        for item in self.planes:
            detail = f"{item.made_by} to {self.target}"
            found.append(Operation("upgrade", CONTROL_PLANE, item.name, detail, needs=last))
            last = (found[-1].key,)
        drain = (("cordon", REGISTERED), ("drain", REGISTERED)) if len(self.members) > 1 else ()
        for item in self.containers:
            for verb, kind in (*drain, ("replace", NODE), ("upgrade", KUBERNETES)):
                detail = f"{item.kubelet} to {self.target}" if kind == KUBERNETES else ""
                found.append(Operation(verb, kind, item.name, detail, needs=last))
                last = (found[-1].key,)
        return found

    def refuse(self) -> None:
        """Raise for what Kubernetes does not support."""
        newer = [
            f"{item.name} ({found})"
            for item in self.members
            for found in [max(item.made_by, item.kubelet, key=version_of)]
            if version_of(found) > version_of(self.target)
        ]
        if newer:
            raise failure("upgrade_goes_back", target=self.target, nodes=", ".join(newer))
        major, minor = release_of(self.target)
        for item in self.members:
            if item.plane and release_of(item.made_by) < (major, minor - 1):
                following = f"{release_of(item.made_by)[0]}.{release_of(item.made_by)[1] + 1}"
                raise failure(
                    "upgrade_skips", node=item.name, found=item.made_by, target=self.target, following=following
                )
        old = [item.name for item in self._staying if release_of(item.kubelet) < (major, minor - OLDEST_KUBELET)]
        if old:
            raise failure("upgrade_leaves_behind", target=self.target, nodes=", ".join(old))
