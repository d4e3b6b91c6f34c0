# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Release a version: changelog, build, checks, commit and tag (`make release VERSION=1.2.3`). Nothing is published.

All is done in a clone first. The checkout gets the commit and the tag when every check has passed, and stays as it is
otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
Version = tuple[int, int, int]

# What the kinds of entries ask of the version (https://semver.org). Others need no more than a patch.
MAJOR = ("breaking_changes", "removed_features")
MINOR = ("major_changes", "minor_changes", "deprecated_features")


class RefusedError(Exception):
    """Why there is no release, and what to do about it."""


def git(*arguments: str, cwd: Path = ROOT) -> str:
    """Output of git; its own words where it fails."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def parse(text: str) -> Version:
    """A version of three numbers."""
    found = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", text)
    if not found:
        raise RefusedError(f"{text!r} is not a version. Fix: three numbers, as in VERSION=1.2.3")
    return int(found[1]), int(found[2]), int(found[3])


def write(version: Version) -> str:
    """A version as text."""
    return ".".join(map(str, version))


def steps(last: Version) -> dict[str, Version]:
    """The versions that may follow one."""
    major, minor, patch = last
    return {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}


def needed(sections: set[str], last: Version) -> tuple[str, str]:
    """The smallest step that the entries allow, and the section that asks for it."""
    for section in MAJOR:
        if section in sections:
            # Before 1.0.0 nothing is promised yet: what breaks is a minor version.
            return ("major" if last[0] else "minor"), section
    for section in MINOR:
        if section in sections:
            return "minor", section
    return "patch", ""


def fragments(root: Path) -> dict[str, Any]:
    """Entries of the fragments by section."""
    found: dict[str, Any] = {}
    for path in sorted((root / "changelogs" / "fragments").glob("*.y*ml")):
        for section, entries in yaml.safe_load(path.read_text()).items():
            found.setdefault(section, []).append(entries)
    return found


def refuse(version: Version, root: Path = ROOT) -> None:
    """Raise RefusedError where this version of this checkout cannot be released; nothing is changed."""
    if git("status", "--porcelain", cwd=root):
        raise RefusedError(
            "the checkout holds changes that are not committed. Fix: git status, then commit or stash them"
        )
    text = write(version)
    releases = [parse(name) for name in yaml.safe_load((root / "changelogs/changelog.yaml").read_text())["releases"]]
    if git("tag", "--list", text, cwd=root) or version in releases:
        raise RefusedError(f"{text} is released already. Fix: choose a later version")
    entries = fragments(root)
    if not entries:
        raise RefusedError("nothing has changed: there is no fragment. Fix: add one to changelogs/fragments/")
    if releases:
        last = max(releases)
        allowed = steps(last)
        if version not in allowed.values():
            choices = ", ".join(map(write, allowed.values()))
            raise RefusedError(f"{text} does not follow {write(last)}. Fix: one of {choices}")
        step, section = needed(set(entries), last)
        if version < allowed[step]:
            raise RefusedError(
                f"{text} is too small a step from {write(last)} for {section}. Fix: VERSION={write(allowed[step])}"
            )
    if not yaml.safe_load((root / "galaxy.yml").read_text()).get("repository"):
        raise RefusedError(
            "galaxy.yml names no repository, and Galaxy takes no collection without. Fix: add the line "
            "'repository: https://...' with the address where this one is published, and commit it"
        )


def run(clone: Path, *command: str) -> None:
    """Run a command in the clone, with the locked tools; its output is shown."""
    print("+", *command, flush=True)
    mine = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "ANSIBLE_COLLECTIONS_PATH")}
    done = subprocess.run([clone / "tools" / "env", "test", *command], cwd=clone, env=mine, check=False)
    if done.returncode:
        raise RefusedError(f"{' '.join(command)} ended with {done.returncode} (its words are above)")


def prepare(clone: Path, version: Version) -> None:
    """The commit of the release."""
    text = write(version)
    galaxy = clone / "galaxy.yml"
    before = yaml.safe_load(galaxy.read_text())["version"]
    galaxy.write_text(re.sub(r"^version: .*$", f"version: {text}", galaxy.read_text(), count=1, flags=re.MULTILINE))
    readme = clone / "README.md"
    readme.write_text(readme.read_text().replace(f"nodeforge-kic-{before}.tar.gz", f"nodeforge-kic-{text}.tar.gz"))
    run(clone, "antsibull-changelog", "release", "--version", text)
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", f"Release {text}", cwd=clone)


def release(version: Version, gates: str) -> Path:
    """Release; the tarball."""
    text = write(version)
    with tempfile.TemporaryDirectory(prefix="nodeforge-kic-release-") as scratch:
        clone = Path(scratch) / "clone"
        git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
        for setting in ("user.name", "user.email"):
            git("config", setting, git("config", setting), cwd=clone)
        prepare(clone, version)
        # The linters, ansible-test sanity, what the built collection holds, and what Galaxy's importer says.
        run(clone, "pytest", "tests/lint", "-k", gates) if gates else run(clone, "pytest", "tests/lint")
        run(clone, "ansible-galaxy", "collection", "build", "--output-path", scratch, str(clone))
        built = Path(scratch) / f"nodeforge-kic-{text}.tar.gz"
        if git("status", "--porcelain") or git("rev-parse", "HEAD") != git("rev-parse", "HEAD~1", cwd=clone):
            raise RefusedError("the checkout changed meanwhile. Fix: run it again")
        git("fetch", "--quiet", str(clone), "HEAD")
        git("merge", "--quiet", "--ff-only", "FETCH_HEAD")
        git("tag", "--annotate", "--message", f"Release {text}", text)
        return Path(shutil.move(built, ROOT / built.name))


def main() -> int:
    """Release, or say why not; the exit code is 1 then."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("version", help="the version, three numbers")
    parser.add_argument("--gates", default="", help="pytest's -k for tests/lint; all gates without it")
    chosen = parser.parse_args()
    try:
        version = parse(chosen.version)
        refuse(version)
        tarball = release(version, chosen.gates)
    except RefusedError as refused:
        print(f"No release: {refused}", file=sys.stderr)
        return 1
    branch = git("rev-parse", "--abbrev-ref", "HEAD")
    print(
        f"\n{write(version)} is committed, tagged and built: {tarball.name}\n"
        "Left for you, who have the rights (nothing has left this machine):\n"
        "  1. read the top of CHANGELOG.md; git show --stat\n"
        f"  2. git push origin {branch} {write(version)}\n"
        f"  3. ansible-galaxy collection publish {tarball.name}   (with your token of Galaxy)\n"
        f"To take it back before that: git tag --delete {write(version)}; git reset --hard HEAD~1; rm {tarball.name}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
