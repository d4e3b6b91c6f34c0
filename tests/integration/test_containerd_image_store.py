# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docker 29, which keeps images in containerd's store and names them by their manifests (docker29.py compiles it)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import architecture

from ..conftest import cannot_run
from . import small
from .conftest import Client, Play, own_names
from .docker29 import OPTIONS, Unavailable, programs, version
from .dockerd import Daemon
from .packet_filter import taken_back
from .test_story import READY, telling
from .workload import docker_archive, tar

pytestmark = pytest.mark.full("docker 29 is compiled for it, which takes ten minutes the first time")

Module = Callable[..., dict[str, Any]]
NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Place:
    """The daemon, and the modules that talk to it."""

    daemon: Daemon
    run_module: Module

    @property
    def client(self) -> Client:
        """docker's own client of the same release."""
        return self.daemon.client

    @property
    def there(self) -> dict[str, str]:
        """Where the daemon answers, and the client that it takes."""
        return {key: self.client.environment[key] for key in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH")}

    def module(self, called: str, /, **params: Any) -> dict[str, Any]:
        """Run a module in check mode and then for good; the first predicts the second."""
        checked, done = (
            self.run_module(called, check=check, process_env=self.there, engine="docker", **params)
            for check in (True, False)
        )
        for key in ("failed", "changed", "actions", "drift"):
            assert checked.get(key) == done.get(key), f"check mode foretold {key} otherwise: {checked} but {done}"
        return done

    def image(self, name: str, **params: Any) -> dict[str, Any]:
        """Run oci_image."""
        return self.module("oci_image", name=name, **params)

    def identity(self, name: str) -> str:
        """The id of an image as docker tells it."""
        return self.client.out("image", "inspect", "--format", "{{.Id}}", name).rpartition(":")[2]


@pytest.fixture(scope="module")
def place(run_module: Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A daemon of its own, which filters packets as docker does, and the image of a small node in it."""
    try:
        path = f"{programs()}:{os.environ['PATH']}:/usr/sbin:/sbin"
    except Unavailable as error:
        cannot_run(str(error))
    folder = tmp_path_factory.mktemp("docker29")
    with taken_back(), Daemon.running(folder / "store", path=path, options=OPTIONS) as daemon:
        found = Place(daemon, run_module)
        yield found
        images = found.client.out("images", "--all", "--quiet").split()
        if images:
            found.client.run("image", "rm", "--force", *images)


@pytest.fixture
def unique(place: Place) -> Iterator[Callable[[str], str]]:
    """Names for one test."""
    with own_names(place.client) as name:
        yield name


def archive(folder: Path, name: str, content: bytes) -> str:
    """An archive in docker's layout, as the role kic_image writes it."""
    path = folder / f"{len(list(folder.iterdir()))}.tar"
    layer = tar({"content": (content, 0o644)})
    path.write_bytes(docker_archive(name, layer, architecture(), {"Cmd": ["/x"], "Labels": {"a": "b"}}))
    return str(path)


def test_engine(place: Place) -> None:
    """The release, and where containerd has its layers: there the disk may be full, and there kubelet finds a device."""
    facts = place.run_module("oci_engine_info", process_env=place.there, engine="docker")["engine_facts"]
    assert (facts["version"], facts["storage_driver"]) == (version(), "overlayfs")
    assert (Path(facts["storage_path"]) / "io.containerd.snapshotter.v1.overlayfs").is_dir()
    kind = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", facts["storage_path"]]
    assert (
        facts["storage_filesystem"] == subprocess.run(kind, capture_output=True, text=True, check=True).stdout.strip()
    )


def test_image_of_an_archive(place: Place, tmp_path: Path) -> None:
    """An archive is loaded once, whatever id its image gets, and again where the name means another image."""
    name = "localhost/kictest-store:1"
    first, second = (archive(tmp_path, name, content) for content in (b"1", b"2"))
    loaded = place.image(name, source="archive", archive=first)
    assert loaded["actions"] == [f"load image {name}: {first}"], loaded
    assert loaded["image"]["id"] == place.identity(name)
    assert loaded["image"]["digest"] == f"sha256:{loaded['image']['id']}"
    assert place.image(name, source="archive", archive=first)["changed"] is False
    assert place.image(name, source="local")["changed"] is False
    # What docker itself saves has OCI's layout too.
    place.client.run("save", "--output", str(tmp_path / "saved.tar"), name)
    assert place.image(name, source="archive", archive=str(tmp_path / "saved.tar"))["changed"] is False

    replaced = place.image(name, source="archive", archive=second)
    assert replaced["changed"] and replaced["image"]["id"] == place.identity(name) != loaded["image"]["id"]
    assert place.image(name, source="archive", archive=second)["changed"] is False
    assert place.image(name, state="absent")["actions"] == [f"remove image {name}"]
    assert place.image(name, state="absent")["changed"] is False
    again = place.image(name, source="archive", archive=str(tmp_path / "saved.tar"))
    assert again["image"]["id"] == loaded["image"]["id"]


def test_image_by_digest(place: Place, tmp_path: Path) -> None:
    """The digest is that of the manifest, which the store has; another one is refused, and under another name it is tagged."""
    name, other = "localhost/kictest-digest:1", "localhost/kictest-digest:2"
    digest = place.image(name, source="archive", archive=archive(tmp_path, name, b"3"))["image"]["digest"]
    assert place.image(name, source="local", digest=digest)["changed"] is False
    assert place.image(name, source="local", digest=NO_DIGEST)["diagnosis"]["id"] == "image_differs"
    tagged = place.image(other, source="local", digest=digest)
    assert tagged["actions"] == [f"tag image {other}: {digest} is here under another name"], tagged
    assert place.identity(other) == place.identity(name)
    assert place.image(name, state="absent")["changed"] and place.image(other, source="local")["changed"] is False


def test_image_in_use(place: Place, tmp_path: Path, unique: Callable[[str], str]) -> None:
    """A container holds its image by the id that the store gave, also when its name has moved on."""
    name, container = "localhost/kictest-use:1", unique("use")
    place.image(name, source="archive", archive=archive(tmp_path, name, b"4"))
    place.client.run("create", "--name", container, name)
    used = place.image(name, state="absent")
    assert used["diagnosis"]["id"] == "in_use" and container in used["msg"], used
    place.client.run("rm", container)
    assert place.image(name, state="absent")["changed"]


def test_image_of_another_architecture(place: Place, tmp_path: Path) -> None:
    """What the store has for another machine is named as such."""
    other = "arm64" if architecture() != "arm64" else "amd64"
    name, path = "localhost/kictest-foreign:1", tmp_path / "foreign.tar"
    path.write_bytes(docker_archive(name, tar({"x": (b"x", 0o644)}), other, {}))
    refused = place.image(name, source="archive", archive=str(path))
    assert refused["diagnosis"]["id"] == "image_platform", refused
    place.client.run("load", "--input", str(path))
    here = place.image(name, source="local")
    assert here["diagnosis"]["id"] == "image_platform" and other in here["diagnosis"]["cause"], here
    assert place.image(name, state="absent")["changed"]


def test_network_and_volume(place: Place, unique: Callable[[str], str]) -> None:
    """Both are kept in the declared state, changed where that is requested, and removed."""
    name = unique("net")
    for module, change in (("oci_network", {"mtu": 1290}), ("oci_volume", {"labels": {"a": "b"}})):
        assert place.module(module, name=name)["changed"]
        assert place.module(module, name=name)["changed"] is False
        drifted = place.module(module, name=name, **change)
        assert drifted["changed"] is False and drifted["drift"], drifted
        assert place.module(module, name=name, recreate="on_drift", **change)["changed"]
        assert place.module(module, name=name, **change)["changed"] is False
        assert place.module(module, name=name, state="absent")["changed"]
        assert place.module(module, name=name, state="absent")["changed"] is False


def test_node(place: Place, unique: Callable[[str], str], tmp_path: Path) -> None:
    """A node is created, kept, changed in place, recreated for a new image of the same name, stopped and removed."""
    name, image = unique("node"), "localhost/kictest-small:1"
    (tmp_path / "small.tar").write_bytes(small.archive(image))
    (tmp_path / "newer.tar").write_bytes(small.archive(image, ("/wait", "more")))
    place.image(image, source="archive", archive=str(tmp_path / "small.tar"))
    place.module("oci_network", name=name)
    place.module("oci_volume", name=name)
    asked: dict[str, Any] = {"name": name, "image": image, "network": name, "volume": name, "wait": False}
    asked |= {"memory": "64m", "publish": [{"port": 80}], "env": {"A": "b"}}
    made = place.module("kic_node", **asked)
    assert made["changed"] and made["node"]["image_id"] == place.identity(image), made
    assert place.client.out("exec", name, "cat", "/proc/sys/kernel/hostname") == name
    assert place.module("kic_node", **asked)["changed"] is False
    asked["memory"] = "80m"
    assert place.module("kic_node", **asked)["changed"]
    assert place.module("kic_node", **asked)["changed"] is False

    place.image(image, source="archive", archive=str(tmp_path / "newer.tar"))
    drifted = place.module("kic_node", **asked)
    assert [item["field"] for item in drifted["drift"]] == ["image"], drifted
    assert place.module("kic_node", recreate="on_drift", **asked)["node"]["image_id"] == place.identity(image)
    assert place.module("kic_node", **asked)["drift"] == []
    (seen,) = place.run_module("kic_node_info", process_env=place.there, engine="docker", name=name)["nodes"]
    assert seen["name"] == name and seen["state"] == "running"
    for state, changes in (
        ("stopped", True),
        ("stopped", False),
        ("started", True),
        ("absent", True),
        ("absent", False),
    ):
        given = asked if state == "started" else {"name": name}
        assert place.module("kic_node", state=state, **given)["changed"] is changes, state
    for module in ("oci_volume", "oci_network"):
        assert place.module(module, name=name, state="absent")["changed"]


def test_client_without_a_common_version(place: Place, unique: Callable[[str], str]) -> None:
    """What is older than all that both understand is named as that."""
    there = {**place.there, "DOCKER_API_VERSION": "1.39"}
    told = place.run_module("oci_volume", process_env=there, engine="docker", name=unique("old"))
    assert told["diagnosis"]["id"] == "api_mismatch", told
    assert "DOCKER_API_VERSION" in told["diagnosis"]["fix"]


def test_cluster(place: Place, play: Play, tmp_path: Path) -> None:
    """From nothing to a node that is Ready, also after a stop, once more without a change, and back to nothing."""
    with telling("docker29", place.client, {}, play, tmp_path) as story:
        story.site()
        assert story.kubectl("get", "node", story.node, "-o", READY) == "True"
        assert story.site().changed == []
        assert story.site(kic_cluster_state="stopped").changed
        story.site()
        assert story.kubectl("get", "node", story.node, "-o", READY) == "True"
        assert story.teardown().changed
        assert story.client.holdings() == story.before
