# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of a machine that has none yet: in check mode plans are made against it, and nothing can be done to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from .._command import CommandResult
from .._core.diagnosis import KicError
from .._host.machine import architecture, cgroup_version, cpus, memory, runtimes
from .base import Engine
from .model import Attached, Container, EngineInfo, Image, Limits, Network, NewContainer, Offered, Volume


class AbsentEngine(Engine):
    """Holds nothing. ``reason`` is why the real engine could not be asked; doing anything raises it."""

    def __init__(self, name: str, reason: KicError) -> None:
        self.name = name
        self.reason = reason

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name=self.name,
            version="0",
            rootless=False,
            cgroup_version=cgroup_version(),
            cgroup_manager="",
            cgroup_controllers=(),
            network_backend="netavark",
            runtime="",
            runtimes=runtimes(),
            storage_driver="",
            storage_filesystem="",
            storage_path="",
            architecture=architecture(),
            cpus=cpus(),
            memory=memory(),
            selinux=False,
            apparmor=False,
        )

    def _refuse(self) -> NoReturn:
        raise self.reason

    def networks(self) -> list[Network]:
        return []

    def create_network(self, network: Network) -> None:
        self._refuse()

    def remove_network(self, identity: str) -> None:
        self._refuse()

    def attached_to_network(self, name: str) -> list[Attached]:
        return []

    def volume(self, name: str) -> Volume | None:
        return None

    def volumes(self, label: str) -> list[Volume]:
        return []

    def create_volume(self, volume: Volume) -> None:
        self._refuse()

    def remove_volume(self, name: str) -> None:
        self._refuse()

    def attached_to_volume(self, name: str) -> list[Attached]:
        return []

    def image(self, reference: str) -> Image | None:
        return None

    def images(self, label: str) -> list[Image]:
        return []

    def nameless_images(self) -> list[Image]:
        return []

    def ask_registry(self, reference: str, seconds: float) -> Offered | None:
        return None

    def pull_image(self, reference: str, seconds: float) -> None:
        self._refuse()

    def load_image(self, path: str) -> None:
        self._refuse()

    def tag_image(self, identity: str, name: str) -> None:
        self._refuse()

    def remove_image(self, name: str) -> None:
        self._refuse()

    def attached_to_image(self, identity: str) -> list[Attached]:
        return []

    def container(self, name: str) -> Container | None:
        return None

    def containers(self, label: str) -> list[Container]:
        return []

    def create_container(self, new: NewContainer) -> str:
        self._refuse()

    def read_file(self, identity: str, path: str) -> bytes | None:
        return None

    def put_files(self, identity: str, archive: bytes) -> None:
        self._refuse()

    def start_container(self, identity: str) -> None:
        self._refuse()

    def stop_container(self, identity: str, seconds: int) -> None:
        self._refuse()

    def resume_container(self, identity: str) -> None:
        self._refuse()

    def rename_container(self, identity: str, name: str) -> None:
        self._refuse()

    def remove_container(self, identity: str, seconds: int) -> None:
        self._refuse()

    @property
    def updatable(self) -> frozenset[str]:
        return frozenset()

    def update_limits(self, identity: str, limits: Limits) -> None:
        self._refuse()

    def logs(self, identity: str, lines: int) -> str:
        return ""

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        self._refuse()
