# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a container is, on real engines: what it has from its image makes it nobody's node.

Nothing here has to run: a container that was created has all of its labels.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import SubprocessRunner
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import converge
from ansible_collections.nodeforge.kic.plugins.module_utils._core.subnet import DEFAULT_POOLS
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.drivers import driver
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkResource, NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._state.lock import host_lock
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject

from .conftest import ROOT, Client, Play
from .dockerd import Daemon, client_of

Module = Callable[..., dict[str, Any]]
NAME = "localhost/kictest-owner:1"


def small_image(client: Client, folder: Path) -> None:
    """Import an image with one empty file."""
    (folder / "empty").touch()
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(folder / "empty", "empty")
    client.run("import", str(folder / "image.tar"), NAME)


ABSENT = """
- hosts: localhost
  gather_facts: false
  tasks:
    - nodeforge.kic.oci_engine_info:
        engine: podman
      register: podman
    - ansible.builtin.include_role:
        name: nodeforge.kic.kic_cluster
      vars:
        kic_host_engine_facts: "{{ podman.engine_facts }}"
        kic_cluster_state: absent
"""


@pytest.mark.full(
    "a docker of its own; unit tests ask which engine has a cluster, and teardown finds that of the story"
)
def test_role_goes_where_its_cluster_is(
    podman: Client, play: Play, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """The role finds its cluster on docker, though kic_host looked for another name and left the facts of podman."""
    del podman
    cluster = unique("where")
    (tmp_path / "absent.yml").write_text(ABSENT)
    with Daemon.running(tmp_path / "docker") as daemon:
        client = daemon.client
        small_image(client, tmp_path)
        labels = ("--label", "nodeforge.kic.schema=1", "--label", f"nodeforge.kic.cluster={cluster}")
        client.run("create", "--name", f"{cluster}-control-plane-1", *labels, NAME, "/empty")
        there = {key: value for key, value in client.environment.items() if key in ("DOCKER_HOST", "DOCKER_CONFIG")}
        play(tmp_path / "absent.yml", kic_cluster_name=cluster, process_env=there)
        assert f"{cluster}-control-plane-1" not in client.holdings()["containers"]


@pytest.mark.full("two plays; whose an entry of a kubeconfig is has unit tests, and teardown is in the quick set")
def test_teardown_of_one_engine(play: Play, podman: Client, unique: Callable[[str], str], tmp_path: Path) -> None:
    """It leaves the kubeconfig entry of the other engine's cluster alone, and names an engine that could not be asked."""
    del podman
    cluster, config = unique("kept"), tmp_path / "config"
    config.write_text("apiVersion: v1\nkind: Config\ncontexts: []\n")
    state = ClusterState(Subject("docker", cluster))
    state.record_file("kubeconfig", str(config), context=f"kic-{cluster}", owner="root", made=True, directory=False)
    with host_lock():
        state.save()
    try:
        nobody = {"DOCKER_HOST": f"unix://{tmp_path}/nobody"}
        teardown = ROOT / "playbooks" / "teardown.yml"
        named = play(teardown, kic_cluster_name=cluster, kic_engine="podman", process_env=nobody)
        assert named.changed == [] and named.results("kic_kubeconfig") == []
        (result,) = named.results("debug")[-1:]
        assert result["msg"]["removed"] == [] and result["msg"]["skipped_engines"] == []
        if shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None:
            (result,) = play(teardown, kic_cluster_name=cluster, process_env=nobody).results("debug")[-1:]
            (skipped,) = result["msg"]["skipped_engines"]
            assert skipped.startswith("docker: docker is installed, but nothing answers")
        assert config.exists() and ClusterState.load(Subject("docker", cluster)).files == state.files
    finally:
        state.files.clear()
        with host_lock():
            state.save()


def test_two_users_of_one_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that share no lock and make one network at once: one stays, and both runs end well or name the other."""
    with Daemon.running(tmp_path / "docker") as daemon:
        for key in ("DOCKER_HOST", "DOCKER_CONFIG"):
            monkeypatch.setenv(key, daemon.client.environment[key])
        before = daemon.networks()
        nothing = dict.fromkeys(("subnet", "subnet6", "gateway", "mtu", "cluster"))
        given: dict[str, Any] = {
            "prefix": 24,
            "recreate": "never",
            "avoid": [],
            "pools": list(DEFAULT_POOLS),
            "labels": {},
            **nothing,
        }

        def run(state: str) -> str:
            spec = NetworkSpec.from_params({**given, "name": "kictest-race", "state": state})
            engine = driver("docker")(SubprocessRunner())
            try:
                return str(converge(NetworkResource(spec, engine), check_mode=False, lock=nullcontext).plan.changed)
            except KicError as error:
                return error.diagnosis.id

        for _round in range(5):
            with ThreadPoolExecutor(2) as pool:
                ended = [item.result() for item in [pool.submit(run, "present") for _user in range(2)]]
            assert len(daemon.networks() - before) == 1, ended
            assert set(ended) <= {"True", "False", "made_meanwhile", "network_ambiguous"} and "True" in ended, ended
            assert run("absent") == "True"


@pytest.mark.full("half a minute; whose labels count has unit tests")
@pytest.mark.parametrize(
    "engine", ["podman", pytest.param("docker", marks=pytest.mark.full("the quick set proves it on podman"))]
)
def test_commit_of_a_node(
    engine: str, podman: Client, run_module: Module, play: Play, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """A container of an image that was committed from a node is left alone, a node of before that label is still ours."""
    cluster, aside = unique("own"), unique("aside")
    node, made, committed = f"{cluster}-control-plane-1", f"{cluster}-made", f"localhost/{aside}:1"
    with client_of(engine, podman, tmp_path) as client:
        there = {key: value for key, value in client.environment.items() if key in ("DOCKER_HOST", "DOCKER_CONFIG")}

        def module(called: str, /, **params: Any) -> dict[str, Any]:
            return run_module(called, engine=engine, process_env=there, **params)

        def nodes(**params: Any) -> list[str]:
            return [item["name"] for item in module("kic_node_info", **params)["nodes"]]

        try:
            small_image(client, tmp_path)
            # As nodes were made before they named their image.
            claims = {"schema": "1", "cluster": cluster, "role": "control-plane", "spec": "{}"}
            labels = [part for key, value in claims.items() for part in ("--label", f"nodeforge.kic.{key}={value}")]
            client.run("create", "--name", node, *labels, NAME, "/empty")
            plain = module(
                "kic_node", name=made, image=NAME, cluster=cluster, state="present", command=["/empty"], volume="none"
            )
            assert not plain.get("failed"), plain
            (seen,) = json.loads(client.out("container", "inspect", made))
            assert seen["Config"]["Labels"]["nodeforge.kic.created-from"] == seen["Image"].rpartition(":")[2]
            client.run("commit", node, committed)
            client.run("create", "--name", aside, committed, "/empty")
            # Also the name is no proof: it can be chosen.
            client.run(
                "create",
                "--name",
                f"{aside}-control-plane-1",
                "--label",
                "nodeforge.kic.role=worker",
                committed,
                "/empty",
            )
            assert nodes(cluster=cluster) == nodes() == [node, made]
            assert nodes(name=aside) == []
            for state in ("absent", "stopped"):
                refused = module("kic_node", name=aside, state=state)
                assert refused["diagnosis"]["id"] in ("not_ours", "name_taken"), refused
            refused = module("kic_node", name=f"{aside}-2", image=committed)
            assert refused["diagnosis"]["id"] == "image_claims", refused
            play(
                ROOT / "playbooks" / "teardown.yml",
                kic_cluster_name=cluster,
                kic_engine=engine,
                kic_hosts="localhost",
                process_env=there,
            )
            assert {node, made}.isdisjoint(client.holdings()["containers"])
            assert {aside, f"{aside}-control-plane-1"} <= client.holdings()["containers"]
        finally:
            client.run("rm", "--force", aside, f"{aside}-control-plane-1", check=False)
            client.run("image", "rm", "--force", committed, NAME, check=False)
