# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What takes its time leaves the lock of allocations free: meanwhile another run creates a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import converge
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm import KubeadmResource
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import image as image_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import DelegationResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.plan import HostResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.image import ImageResource, ImageSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkResource, NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._state.lock import host_lock, lock_of

from .support import MemoryEngine, MemoryPorts, fails, host, image, image_params, network_params, node_params
from .test_image import docker_files, write_archive


class Slow:
    """An engine one of whose calls is held open until another run has created a network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = MemoryEngine()
        self.engine.image_table["i"] = image()
        self.created: list[str] = []
        self._patch = monkeypatch

    def another_run(self) -> None:
        """Create a network; fails at once where the lock is held."""
        name = f"other-{len(self.created)}"
        resource = NetworkResource(NetworkSpec.from_params(network_params(name=name)), self.engine)
        converge(resource, check_mode=False, lock=lambda: host_lock(wait=0))
        self.created.append(name)

    def holds(self, target: Any, name: str) -> None:
        """Have the call be the slow one."""
        real: Callable[..., Any] = getattr(target, name)

        def slow(*arguments: Any, **more: Any) -> Any:
            self.another_run()
            return real(*arguments, **more)

        self._patch.setattr(target, name, slow)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """On a machine with plain limits, where nodes are up at once."""
    monkeypatch.setattr(node, "host_limits", host)
    monkeypatch.setattr(boot, "wait", lambda *_given: Boot("running"))
    return Slow(monkeypatch)


def started(slow: Slow, **given: Any) -> None:
    """What the module kic_node does."""
    spec = NodeSpec.from_params(node_params(wait=True, **given))
    converge(NodeResource(spec, slow.engine, MemoryPorts()), check_mode=False, lock=lock_of("lock"))


@pytest.mark.parametrize("call", ["start_container", "put_files"])
def test_start_of_a_node(slow: Slow, call: str) -> None:
    """Its files are copied and it starts when its address is its own already."""
    slow.holds(slow.engine, call)
    started(slow, files=[{"path": "/etc/one", "content": "x", "mode": "0644"}])
    assert slow.created


def test_boot_of_a_node(slow: Slow) -> None:
    """It takes seconds, and on a slow machine minutes."""
    slow.holds(boot, "wait")
    started(slow)
    assert slow.created


@pytest.mark.parametrize("call", ["stop_container", "start_container"])
def test_replacement_of_a_node(slow: Slow, call: str) -> None:
    """The old node may take thirty seconds to stop."""
    started(slow)
    slow.holds(slow.engine, call)
    started(slow, hostname="another", recreate="on_drift")
    assert slow.created


def test_question_to_a_registry(slow: Slow) -> None:
    """One that is silent is waited for."""
    slow.holds(slow.engine, "ask_registry")
    spec = ImageSpec.from_params(image_params(name="registry.example/node:1", source="registry"))
    with fails("image_unknown"):
        converge(ImageResource(spec, slow.engine), check_mode=False, lock=lock_of("lock"))
    assert slow.created


@pytest.mark.parametrize("held", ["read_archive", "load_image"])
def test_archive(slow: Slow, tmp_path: Path, held: str) -> None:
    """It is read to its end before it is loaded."""
    path = write_archive(tmp_path / "a.tar", docker_files(("a" * 64, "amd64", None)))
    slow.engine.archives[path] = [image(id="a" * 64, tags=(), size=7)]
    slow.holds(image_module if held == "read_archive" else slow.engine, held)
    converge(
        ImageResource(ImageSpec.from_params(image_params(archive=path)), slow.engine),
        check_mode=False,
        lock=lock_of("lock"),
    )
    assert slow.created


def test_changes_of_the_machine() -> None:
    """Modules of the kernel, units and the store of podman have a lock of their own, and kubeadm one inside its node."""
    assert HostResource.lock_name == DelegationResource.lock_name == "machine-lock"
    assert KubeadmResource.lock_name == ""
    with host_lock(), host_lock(name="machine-lock", wait=0):
        pass
