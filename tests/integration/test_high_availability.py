# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters of three control planes: each may be lost while somebody works through the API, and one becomes three and one again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .living import SITE, Cluster, Writer, living

END = Path(__file__).with_name("certificates_end.sh")


@pytest.fixture(params=["podman", "docker"])
def cluster(request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Cluster]:
    """One on each engine."""
    with living(request.param, request, unique("ha"), tmp_path) as found:
        yield found


@pytest.mark.full("a cluster of four nodes on each engine; the order of what is done is unit tests")
def test_each_may_be_lost(cluster: Cluster, tmp_path: Path) -> None:
    """Three control planes and a worker; each is killed in turn while somebody writes, and the container that offers the API
    too. Nothing that was acknowledged is lost, and one run brings back what was killed, as check mode says. One whose API hangs
    is left alone. A control plane that is lost with its volume joins again."""
    asked = {"kic_cluster_control_planes": 3, "kic_cluster_workers": 1}
    cluster.predicted(**asked)
    assert cluster.site(**asked) == []
    planes = {cluster.plane(number) for number in (1, 2, 3)}
    assert cluster.ready(cluster.plane(1)) == dict.fromkeys([*planes, f"{cluster.name}-worker-1"], True)
    assert cluster.members(cluster.plane(1)) == planes
    assert cluster.server() == cluster.published(cluster.balancer)

    writer = Writer(cluster.kubeconfig, tmp_path / "writer")
    for number in (1, 2, 3):
        with writer.working():
            cluster.client.run("kill", cluster.plane(number))
            time.sleep(8)
            begun = len(writer.written)
            time.sleep(2)
            assert len(writer.written) > begun, "nobody can write any more"
            # What comes back is what was killed, and nothing else is touched.
            assert cluster.predicted() == [f"start node {cluster.plane(number)}"]
            cluster.until_answered(cluster.plane(number))
        assert writer.lost() == []
    print(f"{cluster.variables['kic_engine']}: {len(writer.written)} writes, the longest gap {writer.gap:.1f} s")
    assert writer.gap < 30

    # An API that hangs takes connections and answers none.
    def signal(name: str) -> None:
        words = f"kill -{name} $(pidof kube-apiserver)"
        cluster.client.run("exec", cluster.plane(2), "sh", "-c", words)

    with writer.working():
        signal("STOP")
        time.sleep(15)
        begun = len(writer.written)
        time.sleep(2)
        signal("CONT")
        assert len(writer.written) > begun, "nobody can write any more"
    cluster.until_answered(cluster.plane(2))
    assert writer.lost() == [] and writer.gap < 30
    print(f"with one that hung, {writer.gap:.1f} s")

    cluster.client.run("kill", cluster.balancer)
    assert cluster.site() == [f"start node {cluster.balancer}"]
    assert writer.lost() == []

    first = cluster.plane(1)
    cluster.client.run("rm", "--force", first)
    cluster.client.run("volume", "rm", first)
    joined = cluster.predicted()
    assert f"create node {first}" in joined and "run step join" in joined and "run step etcd" not in joined
    assert cluster.site() == [] and cluster.members(first) == planes
    assert writer.lost() == []


@pytest.mark.full("a cluster that grows and shrinks on each engine; the order of what is done is unit tests")
def test_one_three_one(cluster: Cluster, tmp_path: Path) -> None:
    """One control plane becomes three and one again while it is used: no node is replaced, the kubeconfig follows, and data is
    kept. Without permission nothing leaves."""
    cluster.site(kic_cluster_workers=1)
    own = cluster.published(cluster.plane(1))
    assert cluster.server() == own
    kept = {
        name: cluster.client.out("inspect", "--format={{.Id}}", name)
        for name in (cluster.plane(1), f"{cluster.name}-worker-1")
    }
    writer = Writer(cluster.kubeconfig, tmp_path / "writer")
    with writer.working():
        time.sleep(1)
        cluster.predicted(kic_cluster_control_planes=3)
    assert cluster.server() == cluster.published(cluster.balancer) != own
    assert cluster.site() == []
    # All of them are down for a moment, and etcd has its members and its data again.
    restarted = cluster.predicted(kic_cluster_state="restarted")
    up = [*(cluster.plane(number) for number in (1, 2, 3)), f"{cluster.name}-worker-1", cluster.balancer]
    assert sorted(restarted) == sorted(f"{verb} node {name}" for name in up for verb in ("stop", "start"))
    assert len(cluster.members(cluster.plane(3))) == 3 and writer.lost() == []
    assert cluster.site() == []
    stays = cluster.play(SITE, process_env=cluster.environment, **cluster.variables, kic_cluster_control_planes=1)
    assert stays.results("kic_cluster")[-1]["actions"] == []
    assert "kic_cluster_prune=true" in stays.text and "set kic_cluster_control_planes to" in stays.text
    left = cluster.predicted(kic_cluster_control_planes=1, kic_cluster_prune=True)
    assert [item for item in left if "etcd" in item or "balancer" in item] == [
        f"remove etcd member {cluster.plane(2)}",
        f"remove etcd member {cluster.plane(3)}",
        f"remove node {cluster.balancer}",
    ]
    assert cluster.server() == own and cluster.members(cluster.plane(1)) == {cluster.plane(1)}
    assert cluster.site(kic_cluster_control_planes=1, kic_cluster_prune=True) == []
    assert writer.lost() == []
    assert kept == {name: cluster.client.out("inspect", "--format={{.Id}}", name) for name in kept}


@pytest.mark.full("three minutes; the order of a renewal is unit tests")
@pytest.mark.parametrize("cluster", ["podman"], indirect=True)
def test_all_certificates_ended(cluster: Cluster) -> None:
    """Where the certificates of all three have ended, etcd has no majority and no API answers: one run renews them all, as check
    mode says, and the next one changes nothing."""
    cluster.site(kic_cluster_control_planes=3)
    planes = [cluster.plane(number) for number in (1, 2, 3)]
    for name in planes:
        cluster.client.run("exec", "--interactive", name, "bash", "-s", name, "-100", stdin=END.read_text())
    cluster.client.run("restart", *planes)
    done = cluster.predicted()
    assert [item.partition(":")[0] for item in done].count("run step renew-certificates") == 3
    assert cluster.site() == []
    assert cluster.ready(cluster.plane(2)) == dict.fromkeys(planes, True)
