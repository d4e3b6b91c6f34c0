# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the README says, typed word for word on a bare Debian.

Shared with this machine is the built image alone, by content, so that it need not be built again.
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
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nodeforge.kic"


def readme(line: str) -> str:
    """``line``, which has to stand in the README as it is typed here."""
    assert line in (ROOT / "README.md").read_text(), f"the README does not say: {line}"
    return line


@pytest.fixture
def bare() -> Iterator[Room]:
    """A bare Debian with the checkout's files below /srv/nodeforge.kic."""
    problem = obstacle()
    if problem is not None:
        pytest.skip(problem)
    with room(CACHE / "cleanroom") as found:
        checkout = found.root / "srv" / "nodeforge.kic"
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
        yield found


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
    """What the play says to type next where kubectl is not installed."""
    found = [line.strip() for line in typed.text.splitlines() if re.match(r" +(sudo )?podman exec ", line)]
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
    typed(" ".join(readme("make teardown ARGS='-e\nkic_purge=true'").split()), key="purge")
    assert not (bare.root / home.lstrip("/") / ".cache/nodeforge.kic/image").exists()
    left = typed("podman ps --all --quiet; podman volume ls --quiet; podman images --quiet", by="root")
    assert left.text.split() == []
    return took


def test_readme_as_root(bare: Room) -> None:
    """Each line of the README from the apt line to the purge, as root, from the checkout."""
    share_image(bare, "/root", 0)
    print(story(bare, "root", "/root"))


@pytest.mark.full
def test_readme_as_a_user_with_sudo(bare: Room) -> None:
    """The same as a user who may use sudo."""
    bare.type("apt-get update -q && apt-get install -y -q sudo").ok()
    bare.type("useradd --create-home --uid 1000 --shell /bin/bash dev").ok()
    (bare.root / "etc/sudoers.d/dev").write_text("dev ALL=(ALL) NOPASSWD: ALL\n")
    share_image(bare, "/home/dev", 1000)
    print(story(bare, "dev", "/home/dev"))
