# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release command in a throw-away clone: it refuses what would be wrong and leaves no trace, or releases."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT

# The gates that look at what is released. All others have tests of their own next to this one.
GATES = "test_changelog or test_build"


def git(folder: Path, *arguments: str) -> str:
    """Output of git in a folder."""
    who = ("-c", "user.name=A Maintainer", "-c", "user.email=maintainer@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def release(clone: Path, version: str, gates: str = GATES) -> subprocess.CompletedProcess[str]:
    """`make release` there."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return subprocess.run(
        ["make", "release", f"VERSION={version}", f"ARGS=--gates '{gates}'"],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def picture(clone: Path) -> tuple[str, ...]:
    """All that a refused release must leave as it is."""
    listed = " ".join(sorted(path.name for path in clone.iterdir()))
    return git(clone, "rev-parse", "HEAD"), git(clone, "tag"), git(clone, "status", "--porcelain", "--ignored"), listed


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with what is in this checkout now, and with a repository's address."""
    folder = tmp_path_factory.mktemp("release") / "clone"
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder))
    for name in git(ROOT, "ls-files", "--modified", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    galaxy = folder / "galaxy.yml"
    if "repository" not in yaml.safe_load(galaxy.read_text()):
        galaxy.write_text(f"{galaxy.read_text()}repository: https://example.com/nodeforge.kic\n")
    git(folder, "config", "user.name", "A Maintainer")
    git(folder, "config", "user.email", "maintainer@example.com")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "What is to be released")
    return folder


@pytest.mark.full("of a tool that only a release uses; its parts have unit tests")
def test_a_failed_check_leaves_no_trace(clone: Path) -> None:
    """When a check fails after the version was prepared, the checkout is as it was (no gate is called so)."""
    before = picture(clone)
    refused = release(clone, "0.1.0", gates="test_nothing_at_all")
    assert refused.returncode != 0
    assert "No release: pytest tests/lint -k test_nothing_at_all ended with 5" in refused.stdout, refused.stdout
    assert picture(clone) == before


@pytest.mark.full("runs the linters a second time")
def test_release(clone: Path) -> None:
    """Changelog, version, commit, tag and tarball; the same version again is refused, and so is a dirty checkout."""
    head = git(clone, "rev-parse", "HEAD")
    done = release(clone, "0.1.0")
    assert done.returncode == 0, done.stdout
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "rev-parse", "0.1.0^{commit}~1") == head
    assert git(clone, "rev-parse", "0.1.0^{commit}") == git(clone, "rev-parse", "HEAD")
    assert 'href="#v0-1-0"' in (clone / "CHANGELOG.md").read_text()
    released = yaml.safe_load((clone / "changelogs" / "changelog.yaml").read_text())["releases"]["0.1.0"]
    assert released["changes"]["security_fixes"] and "kic_node" in {item["name"] for item in released["modules"]}
    assert not list((clone / "changelogs").glob("fragments/*.yml"))
    with tarfile.open(clone / "nodeforge-kic-0.1.0.tar.gz") as archive:
        manifest = archive.extractfile("MANIFEST.json")
        assert manifest is not None
        assert json.load(manifest)["collection_info"]["version"] == "0.1.0"
        assert "CHANGELOG.md" in archive.getnames()
    said = done.stdout[done.stdout.rindex("Left for you") :]
    assert "git push origin" in said and "ansible-galaxy collection publish nodeforge-kic-0.1.0.tar.gz" in said

    before = picture(clone)
    again = release(clone, "0.1.0")
    assert again.returncode != 0 and "0.1.0 is released already" in again.stdout
    assert picture(clone) == before
    (clone / "forgotten").write_text("")
    before = picture(clone)
    dirty = release(clone, "0.2.0")
    assert dirty.returncode != 0 and "not committed" in dirty.stdout
    assert picture(clone) == before
