# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""site.yml where it cannot begin: bad input, and a machine that has no engine yet."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Client, Play, Played

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"

# Each layer that refuses, once: the tables of all bad input are those of the modules and of the unit tests.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "name with a slash": ({"kic_cluster_name": "a/b"}, "kic_cluster_name: 'a/b' is not a name"),
    "too little memory": (
        {"kic_cluster_node": {"memory": "512m"}},
        "kic_cluster_node.memory: 512m is less than the 1700 MB",
    ),
    "more processors than there are": (
        {"kic_cluster_node": {"cpus": 4096}},
        "kic_cluster_node.cpus: 4096 is more than the",
    ),
    "subnet with host bits": (
        {"kic_cluster_network": {"subnet": "192.168.200.1/24"}},
        "kic_cluster_network.subnet: '192.168.200.1/24' has host bits set. Fix: write 192.168.200.0/24",
    ),
    "an option that is none": (
        {"kic_cluster_node": {"memroy": "4g"}},
        "kic_cluster_node.memroy: is not an option of kic_node",
    ),
}


ONE = "subnet with host bits"
"""The row that is in the quick set."""


@pytest.mark.parametrize(
    "case",
    [
        ONE,
        *(pytest.param(case, marks=pytest.mark.full("a play each; one is quick")) for case in REFUSED if case != ONE),
    ],
)
def test_bad_input_is_refused_before_anything_is_changed(
    case: str, podman: Client, node_image: str, play: Play
) -> None:
    """One error that names the variable and a fix, and nothing was made."""
    variables, message = REFUSED[case]
    refused = play(SITE, ok=False, **{"kic_image_name": node_image, "kic_cluster_name": "kictest-refused", **variables})
    said = " ".join(refused.text.split())
    assert message in said, refused.text
    assert "Fix:" in said
    assert refused.stats["localhost"]["failures"] == 1
    assert refused.changed == []
    for names in podman.holdings().values():
        assert not [name for name in names if "kictest-refused" in name]


@pytest.mark.full("two plays; a missing image of a node is in the quick set, and what is taken back has unit tests")
def test_missing_image_leaves_nothing(podman: Client, play: Play) -> None:
    """An image that does not exist is one error; the network and volume that the run had made are gone again."""
    name = "kictest-noimage"
    variables: dict[str, Any] = {
        "kic_cluster_name": name,
        "kic_image_source": "local",
        "kic_image_name": "localhost/kictest/none:1",
    }
    refused = play(SITE, ok=False, **variables)
    assert "the image localhost/kictest/none:1 is not in podman's store" in " ".join(refused.text.split())
    cluster = ROOT / "benchmarks" / "cluster.yml"
    refused = play(cluster, ok=False, kic_cluster_name=name, kic_cluster_image="localhost/kictest/none:1")
    assert "the image localhost/kictest/none:1 is not in podman's store" in " ".join(refused.text.split())
    for names in podman.holdings().values():
        assert not [item for item in names if name in item]


@pytest.fixture
def path_without_engine(tmp_path: Path) -> str:
    """A PATH with every program of this machine but engines and runtimes."""
    hidden = {"podman", "docker", "crun", "runc"}
    for directory in os.environ["PATH"].split(os.pathsep):
        for program in Path(directory).glob("*") if Path(directory).is_dir() else ():
            link = tmp_path / program.name
            if program.name not in hidden and not link.exists():
                link.symlink_to(program)
    return str(tmp_path)


def test_check_mode_without_an_engine(
    path_without_engine: str, play: Play, podman: Client, run_module: Callable[..., dict[str, Any]]
) -> None:
    """--check on a machine that has no engine plans against an empty one, warns, and does not fail."""
    del podman
    name = "kictest-empty"
    looked = run_module("oci_engine_info", check=True, process_env={"PATH": path_without_engine})
    assert looked["engine_facts"]["version"] == "0"
    refused = run_module("oci_engine_info", process_env={"PATH": path_without_engine})
    assert refused["diagnosis"]["id"] == "engine_not_installed"
    played = play(SITE, "--check", "--diff", process_env={"PATH": path_without_engine}, kic_cluster_name=name)
    assert "The plan is made against an empty engine." in " ".join(played.text.split())
    assert any("Bring the cluster into its state" in done for done in played.changed), played.text


@pytest.mark.full("half a minute; the clean room purges in the quick set")
def test_purge_takes_images_and_cache(own_store: Client, play: Play) -> None:
    """Teardown lists the images that were built here and the cache and leaves them; with kic_purge they go, no others."""
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    archive = Path(own_store.environment["CONTAINERS_STORAGE_CONF"]).with_name("empty.tar")
    archive.write_bytes(empty.getvalue())
    built, other = "localhost/nodeforge/kic-node:1-kictest", "localhost/kictest/other:1"
    own_store.run("import", "--change", "LABEL nodeforge.kic.image.key=kictest", str(archive), built)
    own_store.run("import", "--change", "LABEL kictest=1", str(archive), other)
    cache = Path(own_store.environment["XDG_CACHE_HOME"]) / "nodeforge.kic"
    (cache / "image").mkdir(parents=True)
    (cache / "image" / "kictest.tar").write_text("")
    environment = {key: own_store.environment[key] for key in ("CONTAINERS_STORAGE_CONF", "XDG_CACHE_HOME")}

    def teardown(**variables: Any) -> Played:
        return play(
            TEARDOWN, process_env=environment, kic_cluster_name="kictest-none", kic_engine="podman", **variables
        )

    def names() -> set[str]:
        return {name for image in own_store.json("images") for name in image["Names"]}

    kept = teardown()
    assert kept.changed == []
    assert names() == {built, other}
    said = json.dumps([task["result"] for task in kept.tasks])
    assert built in said and str(cache) in said and other not in said
    assert teardown(kic_purge=True).changed
    assert names() == {other}
    assert not (cache / "image").exists()
    assert teardown(kic_purge=True).changed == []
