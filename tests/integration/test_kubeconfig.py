# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root writes access into another user's files, on a real engine: what that user may not write stays as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Client, Play
from .test_node import PLAIN, runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for another user")

OWNER, UID = "nobody", 65534
ADMIN = """\
clusters: [{name: kubernetes, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Y2E=}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}]
"""
DOCUMENTED = """\
apiVersion: v1
kind: Config
# prod, read only!
clusters:
- {name: prod, cluster: {server: "https://prod.example"}}  # behind the VPN
contexts:
- name: prod
  context: &base {cluster: prod, user: ada}
- name: dev
  context: {<<: *base, namespace: dev}
users: []
current-context: prod  # by default
"""


@pytest.fixture
def control_plane(podman: Client, unique: Callable[[str], str], tmp_path: Path) -> Iterator[str]:
    """A cluster of one container that holds no more than its administrator's configuration; the cluster's name."""
    programs = [shutil.which(name) or name for name in ("cat", "sleep")]
    needed = {
        path
        for program in programs
        for path in re.findall(
            r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        )
    }
    (tmp_path / "admin.conf").write_text(ADMIN)
    with tarfile.open(tmp_path / "image.tar", "w", dereference=True) as tar:
        for path in needed:
            tar.add(path, path)
        for program in programs:
            tar.add(program, f"/bin/{Path(program).name}")
        tar.add(tmp_path / "admin.conf", "/etc/kubernetes/admin.conf")
    cluster = unique("files")
    name, image = f"{cluster}-control-plane-1", f"localhost/{cluster}:1"
    labels = {"schema": "1", "cluster": cluster, "role": "control-plane"}
    claims = [part for key, value in labels.items() for part in ("--label", f"nodeforge.kic.{key}={value}")]
    podman.run("import", str(tmp_path / "image.tar"), image)
    try:
        command = ["run", "--detach", "--name", name, "--publish", "127.0.0.1::6443", *PLAIN, *claims]
        podman.run(*runtime(), *command, image, "/bin/sleep", "infinity")
        yield cluster
    finally:
        podman.run("rm", "--force", "--time", "0", name, check=False)
        podman.run("image", "rm", "--force", image, check=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that the user can reach, with one of the user's and one of root's."""
    top = Path(tempfile.mkdtemp(prefix="kictest-"))
    top.chmod(0o755)
    for name, uid in (("own", UID), ("roots", 0)):
        (top / name).mkdir()
        os.chown(top / name, uid, uid)
    yield top
    for one in ("mounted", "foreign"):
        subprocess.run(["umount", top / "own" / one], check=False, capture_output=True)
    shutil.rmtree(top)


def put(path: Path, text: str = "", uid: int = UID, mode: int = 0o600) -> Path:
    """A file of a user."""
    path.write_text(text)
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


def mounted(target: Path, source: Path) -> Path:
    """One file mounted over another."""
    put(target)
    if subprocess.run(["mount", "--bind", source, target], check=False, capture_output=True).returncode:
        pytest.skip("no mounts here")
    return target


@pytest.mark.full("makes a control plane; reading and writing as the owner has unit tests")
def test_files_of_a_user(play: Play, control_plane: str, home: Path) -> None:
    """Twice and away again: the first run writes, the second changes nothing, the removal restores what was there."""
    own, roots = home / "own", home / "roots"
    good = {
        "new": own / "new" / "config",
        "documented": put(own / "documented", DOCUMENTED, mode=0o644),
        "link": own / "link",
        "mounted": mounted(own / "mounted", put(home / "source", DOCUMENTED)),
        "foreign": mounted(own / "foreign", put(home / "foreign", "", 0, 0o666)),
    }
    put(own / "dotfiles", DOCUMENTED)
    good["link"].symlink_to("dotfiles")
    secret = put(roots / "secret", DOCUMENTED, 0, 0o644)
    (own / "to-root").symlink_to(secret)
    (own / "to-roots-directory").symlink_to(roots)
    os.mkfifo(own / "fifo")
    bad = [own / "to-root", own / "to-roots-directory" / "config", own / "fifo", roots / "config"]

    def run(paths: list[Path], **more: Any) -> list[dict[str, Any]]:
        played = play(
            "kubeconfig.yml", test_cluster=control_plane, test_owner=OWNER, test_paths=[*map(str, paths)], **more
        )
        return played.results("kic_kubeconfig")

    first = run([*good.values(), *bad])
    for path, result in zip((*good.values(), *bad), first):
        if path in bad:
            assert result["diagnosis"]["id"] == "kubeconfig_unusable", (path, result)
            assert result["diagnosis"]["fix"], path
        else:
            assert "diagnosis" not in result and result["changed"] and not result.get("warnings"), (path, result)
            assert f"kic-{control_plane}" in [one["name"] for one in yaml.safe_load(path.read_text())["contexts"]]
    assert (secret.read_text(), secret.stat().st_uid, list(roots.iterdir())) == (DOCUMENTED, 0, [secret])
    assert good["link"].is_symlink() and "# prod, read only!\n" in (own / "dotfiles").read_text()
    assert (home / "foreign").stat().st_uid == 0 and (home / "source").stat().st_uid == UID
    for name in ("new", "documented", "link"):
        assert (good[name].stat().st_uid, good[name].stat().st_mode & 0o777) == (UID, 0o600), name
    assert not list(own.glob("*.lock"))

    assert [result["changed"] for result in run([*good.values()])] == [False] * len(good)

    assert [result["changed"] for result in run([*good.values()], test_state="absent")] == [True] * len(good)
    for name in ("documented", "link", "mounted"):
        assert good[name].read_text() == DOCUMENTED, name
    assert not (own / "new").exists() and good["foreign"].exists()
