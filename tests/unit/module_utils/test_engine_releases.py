# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines of Debian 13, as `make record` wrote them down, and docker 29 with containerd's image store: their answers are
read, and their refusals have the same causes as those of Debian 12's, which test_podman.py and test_docker.py hold in detail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker, podman
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Limits, Range
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import RECORDED, recorded, recorded_errors

RELEASES = ("podman-5.4.2", "docker-26.1.5", "docker-29.9.3")
ENGINES = {"podman": podman.Podman, "docker": docker.Docker}
CREATED, RUNNING, EXITED = (f"container-inspect-{state}.json" for state in ("created", "running", "exited"))
NODE, NETWORK, VOLUME = "kictest-rec-node", "kictest-rec-net", "kictest-rec-vol"


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Path:
    """Where the answers of each release are."""
    return RECORDED / str(request.param)


@pytest.fixture
def engine(release: Path) -> str:
    """The name of its engine."""
    return release.name.partition("-")[0]


def read(engine: str, what: str, answer: Any) -> Any:
    """An answer as the engine's own module reads it."""
    return getattr({"podman": podman, "docker": docker}[engine], f"decode_{what}")(answer)


DRIVERS = {"podman-5.4.2": "overlay", "docker-26.1.5": "overlay2", "docker-29.9.3": "overlayfs"}


def test_info(engine: str, release: Path) -> None:
    """Hosts with control groups of version 2, run by systemd, and with version 1; where docker 29 has its layers."""
    found = read(engine, "info", recorded("info.json", release))
    assert (found.name, f"{engine}-{found.version.partition('+')[0]}") == (engine, release.name)
    older = release.name == "docker-29.9.3"
    assert (found.rootless, found.cgroup_version) == (False, 1 if older else 2)
    assert found.cgroup_manager == ("cgroupfs" if older else "systemd")
    assert (found.network_backend, found.runtime) == {"podman": ("netavark", "crun"), "docker": ("bridge", "runc")}[
        engine
    ]
    assert found.storage_driver == DRIVERS[release.name]
    if older:
        assert found.storage_path == "/var/lib/docker/containerd/daemon"
    else:
        assert found.storage_filesystem == "extfs"
    assert (found.architecture, found.cpus) == ("amd64", 2)
    # The kernel of the virtual machine has AppArmor; podman asks for its parser too, which is not there.
    assert (found.selinux, found.apparmor) == (False, release.name == "docker-26.1.5")


def test_network(engine: str, release: Path) -> None:
    """A network of ours with its MTU, and one that the engine has by itself."""
    found = {
        item.name: item
        for item in (read(engine, "network", item) for item in recorded("network-inspect.json", release))
    }
    ours = found[NETWORK]
    assert (ours.driver, ours.mtu, ours.ranges) == ("bridge", 1400, (Range.of("192.168.231.0/24", "192.168.231.1"),))
    assert ours.labels == {"nodeforge.kic.cluster": "kictest", "nodeforge.kic.schema": "1"}
    assert found["podman" if engine == "podman" else "bridge"].labels == {}


def test_volume_and_image(engine: str, release: Path) -> None:
    """A volume with its place, and our image with what a node is made by."""
    volume = read(engine, "volume", recorded("volume-inspect.json", release)[0])
    assert (volume.name, volume.driver, volume.options) == (VOLUME, "local", {})
    assert volume.mountpoint.endswith(f"/volumes/{VOLUME}/_data")
    image = read(engine, "image", recorded("image-inspect.json", release)[0])
    assert len(image.id) == 64 and image.tags[0].startswith("localhost/nodeforge/kic-node:v1.35.4-")
    assert image.labels["nodeforge.kic.image.kubernetes-version"] == "v1.35.4"
    assert image.entrypoint == ("/usr/local/bin/entrypoint", "/sbin/init")


@pytest.mark.parametrize(
    ("name", "status", "addresses", "exit_code"),
    [(CREATED, "created", (), 0), (RUNNING, "running", ("192.168.231.10",), 0), (EXITED, "exited", (), 137)],
)
def test_container(
    engine: str, release: Path, name: str, status: str, addresses: tuple[str, ...], exit_code: int
) -> None:
    """A container in each of its states; a process it has only while it runs, and at podman its address."""
    found = read(engine, "container", recorded(name, release)[0])
    assert (found.name, found.status, found.running) == (NODE, status, status == "running")
    # docker tells the address that was requested; whether it is used, the state says.
    assert found.addresses == {NETWORK: addresses if engine == "podman" else ("192.168.231.10",)}
    assert (found.pid > 0, found.exit_code) == (status == "running", exit_code)
    assert found.limits == Limits(memory=268435456, cpus=0.5, pids=512)
    image = read(engine, "image", recorded("image-inspect.json", release)[0])
    assert (found.image_id, found.image_name, found.error) == (image.id, image.tags[0], "")


CAUSES = {
    "subnet taken": ("subnet_overlap", ""),
    "network name taken": ("name_taken", NETWORK),
    "volume name taken": ("name_taken", VOLUME),
    "address taken": ("address_taken", ""),
    "port taken": ("port_taken", "36443 of 127.0.0.1"),
    "port taken by another program": ("port_taken", "35000 of 127.0.0.1"),
    "runtime unknown": ("runtime_missing", "kictest-none"),
    "network in use": ("engine_failed", ""),
    "volume in use": ("engine_failed", ""),
    "cpus beyond": ("engine_failed", ""),
    "unknown option": ("engine_failed", "unknown flag: --kictest-none"),
}


@pytest.mark.parametrize("about", CAUSES)
def test_refused(engine: str, release: Path, about: str) -> None:
    """The words of this release give the cause, and stand below it; what is not known is not guessed at."""
    errors = recorded_errors(release)
    if about not in errors:
        assert (engine, about) in {("docker", "volume name taken"), ("podman", "cpus beyond")}
        return
    condition, words = CAUSES[about]
    error = {"podman": podman, "docker": docker}[engine].explain(errors[about], "doing it")
    assert error.diagnosis.id == condition, str(error)
    assert words in str(error)
    assert error.diagnosis.output == errors[about].words


REGISTRY = {
    "registry refuses the connection": "registry_unreachable",
    "registry has no name": "registry_unreachable",
    "manifest inspect refused": "registry_unreachable",
    "registry speaks HTTP": "registry_untrusted",
    "registry has no such image": "image_unknown",
    "registry asks for a login": "registry_refused",
    "registry forbids": "registry_refused",
    "registry ends a transfer": "pull_interrupted",
    "registry resets a transfer": "pull_interrupted",
}


@pytest.mark.parametrize("about", REGISTRY)
def test_refused_by_a_registry(engine: str, release: Path, about: str) -> None:
    """What a registry did is told apart by the words of this release."""
    errors = recorded_errors(release)
    if about not in errors:
        assert (engine, about) == ("docker", "registry speaks HTTP")
        return
    asked = ENGINES[engine](None, None)  # type: ignore[arg-type]
    error = asked._explain_registry(errors[about], "registry.example/team/node:v1", 5, "pulling")
    assert error.diagnosis.id == REGISTRY[about], str(error)
    assert error.diagnosis.output == errors[about].words
