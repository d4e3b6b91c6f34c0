# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the release command refuses, in small repositories made for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.nodeforge.kic.tools.release import RefusedError, parse, refuse

BREAKING, MINOR, FIX = "breaking_changes", "minor_changes", "bugfixes"


def repository(folder: Path, last: str | None, *sections: str, address: str = "https://example.com/x") -> Path:
    """A repository whose last release is ``last``, with a fragment of these sections."""
    changes = folder / "changelogs"
    (changes / "fragments").mkdir(parents=True)
    (changes / "changelog.yaml").write_text(yaml.safe_dump({"releases": {last: {}} if last else {}}))
    if sections:
        (changes / "fragments" / "one.yml").write_text(yaml.safe_dump({section: ["x."] for section in sections}))
    (folder / "galaxy.yml").write_text(yaml.safe_dump({"version": last or "0.1.0", "repository": address}))
    for command in (
        ("init", "--quiet"),
        ("add", "--all"),
        ("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "x"),
        ("tag", "9.9.9"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("last", "sections", "version"),
    [
        (None, (FIX,), "0.1.0"),
        (None, (BREAKING,), "1.0.0"),
        ("0.1.0", (BREAKING,), "0.2.0"),
        ("1.2.3", (FIX,), "1.2.4"),
        ("1.2.3", (FIX,), "1.3.0"),
        ("1.2.3", (FIX, MINOR), "1.3.0"),
        ("1.2.3", (MINOR,), "2.0.0"),
        ("1.2.3", (BREAKING, MINOR), "2.0.0"),
    ],
)
def test_taken(tmp_path: Path, last: str | None, sections: tuple[str, ...], version: str) -> None:
    """The smallest step that the fragments allow, or the next larger one."""
    refuse(parse(version), repository(tmp_path, last, *sections))


@pytest.mark.parametrize(
    ("last", "sections", "version", "said"),
    [
        ("1.2.3", (MINOR, FIX), "1.2.4", "too small a step from 1.2.3 for minor_changes. Fix: VERSION=1.3.0"),
        ("1.2.3", ("deprecated_features",), "1.2.4", "Fix: VERSION=1.3.0"),
        ("1.2.3", (BREAKING,), "1.3.0", "for breaking_changes. Fix: VERSION=2.0.0"),
        ("1.2.3", ("removed_features",), "1.2.4", "Fix: VERSION=2.0.0"),
        ("0.1.0", (BREAKING,), "0.1.1", "Fix: VERSION=0.2.0"),
        ("1.2.3", (FIX,), "1.2.5", "does not follow 1.2.3. Fix: one of 2.0.0, 1.3.0, 1.2.4"),
        ("1.2.3", (FIX,), "1.2.2", "does not follow 1.2.3"),
        ("1.2.3", (FIX,), "1.2.3", "1.2.3 is released already"),
        ("9.9.8", (FIX,), "9.9.9", "9.9.9 is released already"),
        ("1.2.3", (), "1.2.4", "there is no fragment"),
    ],
)
def test_refused(tmp_path: Path, last: str, sections: tuple[str, ...], version: str, said: str) -> None:
    """What does not fit is refused with a version that does."""
    with pytest.raises(RefusedError, match=said.replace(".", "[.]")):
        refuse(parse(version), repository(tmp_path, last, *sections))


def test_without_an_address(tmp_path: Path) -> None:
    """Galaxy would refuse it later."""
    with pytest.raises(RefusedError, match="names no repository"):
        refuse((0, 1, 0), repository(tmp_path, None, FIX, address=""))


def test_a_checkout_with_changes(tmp_path: Path) -> None:
    """What is not committed would not be released."""
    (repository(tmp_path, "1.2.3", FIX) / "new").write_text("")
    with pytest.raises(RefusedError, match="not committed"):
        refuse((1, 2, 4), tmp_path)


@pytest.mark.parametrize("text", ["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3-rc1", "1.2.3\n"])
def test_no_version(text: str) -> None:
    """Three numbers and no more."""
    with pytest.raises(RefusedError, match="is not a version"):
        parse(text)
