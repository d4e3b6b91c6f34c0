# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode predicts the absent states of the roles: the same tasks, changed or not, and the same actions.

Nothing here has to run: a container that was created holds its volume, network and image as well as one that runs.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import ROOT, Client, Play, Played

TEARDOWN = ROOT / "playbooks" / "teardown.yml"
MODULES = ("kic_kubeconfig", "kic_cluster", "kic_node", "oci_volume", "oci_network", "oci_image")


@pytest.fixture(scope="module")
def small_image(podman: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with one empty file."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "empty").touch()
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(folder / "empty", "empty")
    name = "localhost/kictest-small:1"
    podman.run("import", str(folder / "image.tar"), name)
    yield name
    podman.run("image", "rm", "--force", name)


def create(podman: Client, image: str, name: str, cluster: str, owned: bool = True) -> None:
    """Create a container on the network and with the volume of ``name``, with labels of ownership or without."""
    labels = ["--label", "nodeforge.kic.schema=1", "--label", f"nodeforge.kic.cluster={cluster}"] if owned else []
    mount = ["--network", cluster, "--volume", f"{name}:/mnt"]
    # The machine's runtime may not fit, and is not requested anything before a start.
    podman.run("create", "--name", name if owned else f"{name}-foreign", *labels, *mount, image, "/empty")


def ground(run_module: Callable[..., dict[str, Any]], name: str, cluster: str) -> None:
    """Make the network and a volume."""
    for module, item in (("oci_network", cluster), ("oci_volume", name)):
        made = run_module(module, name=item, cluster=cluster, engine="podman")
        assert not made.get("failed"), made


def done(played: Played) -> list[tuple[str, bool, Any]]:
    """What the tasks of our modules returned, in order."""
    return [
        (module, bool(result.get("changed")), result.get("actions"))
        for module in MODULES
        for result in played.results(module)
    ]


@pytest.mark.full("a whole cluster; the clean room's teardown in check mode is in the quick set")
def test_teardown(
    podman: Client,
    play: Play,
    run_module: Callable[..., dict[str, Any]],
    small_image: str,
    unique: Callable[[str], str],
) -> None:
    """A teardown in check mode ends well, changes nothing and foretells each removal of the run that follows."""
    cluster = unique("down")
    node = f"{cluster}-control-plane-1"
    ground(run_module, node, cluster)
    create(podman, small_image, node, cluster)
    before = podman.holdings()
    variables: dict[str, Any] = {"kic_cluster_name": cluster, "kic_engine": "podman"}
    checked = play(TEARDOWN, "--check", **variables)
    assert podman.holdings() == before
    real = play(TEARDOWN, **variables)
    assert done(checked) == done(real)
    removed = [f"remove node {node}", f"remove volume {node}", f"remove network {cluster}"]
    assert [entry for entry in done(real) if entry[0] != "kic_kubeconfig"] == [("kic_cluster", True, removed)]
    assert checked.changed == real.changed
    assert done(play(TEARDOWN, "--check", **variables)) == []


@pytest.mark.full("half a minute; the role has a test of its own in the quick set")
def test_role_node(
    podman: Client,
    play: Play,
    run_module: Callable[..., dict[str, Any]],
    small_image: str,
    unique: Callable[[str], str],
) -> None:
    """The role kic_node, absent, likewise; a foreign container on its volume fails both runs in the same way."""
    name = unique("gone")
    ground(run_module, name, name)
    create(podman, small_image, name, name)
    variables: dict[str, Any] = {"kic_node_name": name, "kic_node_cluster": name, "kic_node_state": "absent"}
    variables["kic_node_engine"] = "podman"
    create(podman, small_image, name, name, owned=False)
    checked = play("node.yml", "--check", ok=False, **variables)
    failed = play("node.yml", ok=False, **variables)
    for played in (checked, failed):
        (volume,) = played.results("oci_volume")
        assert volume["diagnosis"]["id"] == "in_use"
        assert volume["diagnosis"]["cause"].count(name) == 2, "the foreign container alone"
    podman.run("rm", f"{name}-foreign")
    create(podman, small_image, name, name)
    checked = play("node.yml", "--check", **variables)
    real = play("node.yml", **variables)
    assert done(checked) == done(real)
    assert len(real.changed) == 3 and checked.changed == real.changed


@pytest.mark.parametrize("module", ["oci_volume", "oci_network", "oci_image"])
def test_module(
    podman: Client,
    run_module: Callable[..., dict[str, Any]],
    small_image: str,
    unique: Callable[[str], str],
    module: str,
) -> None:
    """Each module, absent, with the nodes that go before: foretold as the run does it after they are gone."""
    name = unique("one")
    ground(run_module, name, name)
    image = f"localhost/{name}:1"
    if module == "oci_image":
        podman.run("tag", small_image, image)
    create(podman, small_image, name, name)
    what = image if module == "oci_image" else name
    params: dict[str, Any] = {"name": what, "state": "absent", "engine": "podman"}
    assert run_module(module, check=True, **params)["diagnosis"]["id"] == "in_use"
    assert run_module(module, removed_nodes=[name], **params)["diagnosis"]["id"] == "in_use", "a run finds it there"
    checked = run_module(module, check=True, removed_nodes=[name], **params)
    podman.run("rm", name)
    real = run_module(module, removed_nodes=[name], **params)
    assert (checked["changed"], checked["actions"]) == (real["changed"], real["actions"]) and real["changed"]
    if module == "oci_image":
        assert podman.run("image", "inspect", small_image, check=False).returncode == 0
