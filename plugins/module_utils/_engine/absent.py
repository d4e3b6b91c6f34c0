# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of a machine that has none yet: in check mode plans are made against it, and nothing can be done to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from .._core.diagnosis import KicError
from .._host.machine import architecture, cgroup_version, cpus, memory, runtimes
from .base import Engine
from .drivers import driver
from .model import EngineInfo, Image, Stored


class AbsentEngine(Engine):
    """Holds nothing. ``reason`` is why the real engine could not be asked; doing anything raises it."""

    def __init__(self, name: str, reason: KicError) -> None:
        real = driver(name)
        self.name, self.capabilities, self.network_backend = name, real.capabilities, real.network_backend
        self.hidden_networks = real.hidden_networks  # type: ignore[method-assign]
        self.boot_commands = real.boot_commands  # type: ignore[method-assign]
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
            network_backend=self.network_backend,
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
            capabilities=self.capabilities,
        )

    @property
    def updatable(self) -> frozenset[str]:
        return frozenset()

    def logs(self, identity: str, lines: int) -> str:
        return ""

    def _none(self, *_given: Any, **_options: Any) -> None:
        return None

    def _empty(self, *_given: Any, **_options: Any) -> list[Any]:
        return []

    def _refuse(self, *_given: Any, **_options: Any) -> NoReturn:
        raise self.reason

    def read_directory(self, identity: str, path: str, wanted: Collection[str]) -> dict[str, Stored]:
        return {}

    def images_named(self, references: Sequence[str]) -> list[Image | None]:
        return [None for _reference in references]

    volume = image = container = read_file = ask_registry = _none
    networks = volumes = images = nameless_images = containers = _empty
    attached_to_network = attached_to_volume = attached_to_image = _empty
    create_network = remove_network = create_volume = remove_volume = _refuse
    pull_image = load_image = import_image = tag_image = remove_image = feed_images = _refuse
    create_container = start_container = stop_container = pause_container = resume_container = rename_container = (
        _refuse
    )
    remove_container = update_limits = set_restart_policy = put_files = exec = _refuse
