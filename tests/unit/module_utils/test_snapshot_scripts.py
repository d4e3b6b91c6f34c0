# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts that run in containers for snapshots, on directories and a kubectl of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")

pytestmark = pytest.mark.one_python("it is bash")


class Volumes:
    """Two directories in the place of the volumes that are mounted."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "from", folder / "to"
        self.source.mkdir()
        self.target.mkdir()

    def copy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script on them."""
        text = node_scripts()["copy-volume"]
        for name, folder in (("from", self.source), ("to", self.target)):
            text = re.sub(rf"(?<![\w/.-])/{name}\b", str(folder), text)
        command = ["bash", "-c", text, "copy-volume", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def written(self, *paths: str, on: Path | None = None, text: str = "x") -> None:
        """Files with a text."""
        for path in paths:
            file = (on or self.source) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    @staticmethod
    def files(folder: Path) -> dict[str, str]:
        """All that is there."""
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """Both are empty."""
    return Volumes(tmp_path)


def test_all_is_copied(volumes: Volumes) -> None:
    """With what is hidden, links, modes and times; what the target had goes."""
    volumes.written("lib/etcd/member/wal", ".hidden", "a b/c", "log/one")
    volumes.written("lib/etcd/member/old", "gone", ".gone/x", on=volumes.target, text="old")
    (volumes.source / "link").symlink_to("a b/c")
    os.link(volumes.source / ".hidden", volumes.source / "hard")
    (volumes.source / "log/one").chmod(0o640)
    os.utime(volumes.source / "log/one", (1000, 1000))
    (volumes.source / "empty").mkdir()
    volumes.source.chmod(0o751)
    done = volumes.copy()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert volumes.files(volumes.target) == volumes.files(volumes.source)
    target = volumes.target
    assert (
        (target / "link").is_symlink() and str((target / "link").readlink()) == "a b/c" and (target / "empty").is_dir()
    )
    assert (target / "hard").stat().st_ino == (target / ".hidden").stat().st_ino
    found = (target / "log/one").stat()
    assert (found.st_mode & 0o777, found.st_mtime) == (0o640, 1000)
    assert target.stat().st_mode & 0o777 == 0o751
    assert {path.name for path in target.iterdir()} == {path.name for path in volumes.source.iterdir()}


@pytest.mark.parametrize("name", [".nodeforge.kic-new", ".nodeforge.kic-old"])
def test_what_an_interrupted_copy_has_left(name: str, volumes: Volumes) -> None:
    """It is no part of the data, in whichever of the two it is."""
    volumes.written("data")
    for place in (volumes.source, volumes.target):
        volumes.written(f"{name}/half", on=place)
    assert volumes.copy().returncode == 0
    assert volumes.files(volumes.target) == {"data": "x"}


KEYS = (
    *("lib/nodeforge.kic/etc/kubernetes/admin.conf", "lib/nodeforge.kic/etc/kubernetes/pki/ca.key"),
    "lib/nodeforge.kic/etc/cni/net.d/10.conflist",
    *(
        f"lib/nodeforge.kic/{name}"
        for name in (
            *("kubeadm.json", "kubeadm.conf", "renewed", "hosts", "haproxy.cfg", "machine-id", "product_uuid"),
            "adopted",
        )
    ),
    "lib/kubelet/pki/kubelet-client-current.pem",
)
"""What makes a node part of its cluster."""

DATA = ("lib/containerd/io/blob", "lib/kubelet/pods/uid/volumes/x", "local-path-provisioner/pvc/file", "log/pods/y")
ETCD = ("lib/etcd/member/wal/0.wal", "lib/etcd/member/snap/db")
NETWORK = ("lib/nodeforge.kic/network/files",)
SETTINGS = ("lib/kubelet/config.yaml", "lib/kubelet/kubeadm-flags.env")


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        ("first", (*ETCD, "lib/nodeforge.kic/network-before/files")),
        ("further", ()),
        ("worker", (*ETCD, *SETTINGS, "lib/nodeforge.kic/network-before/files")),
    ],
)
def test_a_clone(part: str, kept: tuple[str, ...], volumes: Volumes) -> None:
    """It has the data, and nothing that opens the original or makes it a part of that. etcd's data is that of the one which begins,
    and the settings of its kubelet only a worker keeps. The pod network is applied when its addresses are known."""
    everything = (*KEYS, *DATA, *ETCD, *NETWORK, *SETTINGS)
    volumes.written(*everything)
    assert volumes.copy(part).returncode == 0
    assert {*volumes.files(volumes.target)} == {*DATA, *kept}
    assert {*volumes.files(volumes.source)} == {*everything}


def test_a_clone_of_a_node_without_kubernetes(volumes: Volumes) -> None:
    """There is nothing to leave out."""
    volumes.written("data")
    assert volumes.copy("further").returncode == 0 and volumes.files(volumes.target) == {"data": "x"}


def test_a_copy_that_fails_leaves_the_target(volumes: Volumes) -> None:
    """It has what it had: nothing of the new one is put in its place before all of it is there."""
    volumes.written("data", on=volumes.target, text="old")
    volumes.source.rmdir()
    done = volumes.copy()
    assert done.returncode != 0 and "from" in done.stderr
    kept = {name: text for name, text in volumes.files(volumes.target).items() if not name.startswith(".nodeforge")}
    assert kept == {"data": "old"}


# A kubectl that answers from a file, and what it was asked.
KUBECTL = """#!/usr/bin/env bash
echo "$*" >>"$ASKED"
cat >/dev/null </dev/null
shopt -s nullglob
for rule in "$ANSWERS"/*; do
  words=$(head -n 1 "$rule")
  case "$*" in *"$words"*) tail -n +2 "$rule"; exit 0 ;; esac
done
echo "nothing is known of $*"
exit 1
"""


class Cluster:
    """A kubectl in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "answers").mkdir()
        program = folder / "bin/kubectl"
        program.write_text(KUBECTL)
        program.chmod(0o755)

    def answers(self, **rules: tuple[str, Any]) -> None:
        """What is answered to commands that hold certain words."""
        for name, (words, answer) in rules.items():
            (self.folder / "answers" / name).write_text(f"{words}\n{json.dumps(answer)}\n")

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script with it."""
        environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "ASKED": f"{self.folder}/asked",
            "ANSWERS": f"{self.folder}/answers",
        }
        command = ["bash", "-c", node_scripts()[script], script, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env=environment, stdin=subprocess.DEVNULL
        )

    @property
    def asked(self) -> list[str]:
        """The commands."""
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def kubectl(tmp_path: Path) -> Cluster:
    """One that knows nothing yet."""
    return Cluster(tmp_path)


AT = 1796040000
"""2026-11-30, twelve o'clock in UTC."""


def node(*conditions: Mapping[str, Any]) -> dict[str, Any]:
    """A node of the API."""
    return {"metadata": {"name": "lab-worker-1"}, "status": {"conditions": [*conditions]}}


def ready(at: str | None) -> dict[str, Any]:
    """That kubelet has reported it."""
    return {"type": "Ready", "status": "True", "lastHeartbeatTime": at}


OTHER = {"type": "MemoryPressure", "status": "False", "lastHeartbeatTime": "2020-01-01T00:00:00Z"}


@needs_jq
@pytest.mark.parametrize(
    ("conditions", "since", "expected"),
    [
        pytest.param([OTHER, ready("2026-11-30T12:00:05Z")], AT, True, id="reported-since"),
        pytest.param([OTHER, ready("2026-11-30T12:00:00Z")], AT, True, id="in-the-same-second"),
        pytest.param([ready("2026-11-30T11:59:59Z")], AT, False, id="reported-before"),
        pytest.param([ready("2026-11-30T11:59:59Z")], 0, True, id="nobody-knows-when-it-was-started"),
        pytest.param([OTHER], AT, True, id="has-not-reported"),
        pytest.param([], AT, True, id="no-conditions"),
    ],
)
def test_ready(conditions: list[dict[str, Any]], since: int, expected: bool, kubectl: Cluster) -> None:
    """What a kubelet has reported before the node was started is not of the one that runs."""
    kubectl.answers(
        a=("wait --for=condition=Ready node/lab-worker-1", "met"), b=("get node/lab-worker-1", node(*conditions))
    )
    done = kubectl.run("ready", "lab-worker-1", "1" if not expected else "30", "condition=Ready", str(since))
    assert (done.returncode == 0) is expected, done
    if expected:
        assert json.loads(done.stdout) == node(*conditions)
        assert len(kubectl.asked) == 2
    # A negative limit is a week.
    assert not [text for text in kubectl.asked if "--timeout=-" in text]


@needs_jq
def test_a_node_that_is_not_ready(kubectl: Cluster) -> None:
    """Until the limit, with what kubectl said."""
    done = kubectl.run("ready", "lab-worker-1", "0", "condition=Ready", "0")
    assert done.returncode == 1 and "nothing is known of" in done.stdout and "node/lab-worker-1" in done.stdout


@needs_jq
def test_tokens(kubectl: Cluster) -> None:
    """Each one that is kept as a Secret is issued again, by its own name and namespace."""
    items = [
        {"metadata": {"namespace": space, "name": name}} for space, name in (("default", "one"), ("kube-system", "two"))
    ]
    kubectl.answers(a=("get secrets", {"items": items}), b=("patch secret", "patched"))
    done = kubectl.run("tokens-renew", "10")
    assert done.returncode == 0, done
    first, *others = kubectl.asked
    assert "--field-selector=type=kubernetes.io/service-account-token" in first and "--all-namespaces" in first
    assert [text.split(" patch ")[1].split(" ")[1] for text in others] == ["one", "two"]
    assert ["--namespace=default" in others[0], "--namespace=kube-system" in others[1]] == [True, True]
    assert all('{"data": {"token": null, "ca.crt": null}}' in text for text in others)


@needs_jq
@pytest.mark.parametrize(
    "answers", [{}, {"a": ("get secrets", {"items": [{"metadata": {"namespace": "x", "name": "y"}}]})}]
)
def test_tokens_that_are_not_renewed(answers: dict[str, tuple[str, Any]], kubectl: Cluster) -> None:
    """It is a failure: they would be signed with the key of the original."""
    kubectl.answers(**answers)
    assert kubectl.run("tokens-renew", "10").returncode != 0


@needs_jq
def test_a_cluster_without_such_tokens(kubectl: Cluster) -> None:
    """There is nothing to do."""
    kubectl.answers(a=("get secrets", {"items": []}))
    done = kubectl.run("tokens-renew", "10")
    assert done.returncode == 0 and len(kubectl.asked) == 1
