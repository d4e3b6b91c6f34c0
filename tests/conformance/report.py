# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to run of Kubernetes' conformance tests, what is left out, and what became of a run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import yaml

LEFT_OUT = Path(__file__).parent / "left_out.yml"

_TEST = re.compile(r"\[It\] (?P<name>.*) \[[^\[\]]*\]")
"""How a report of ginkgo names a test: its name is followed by its labels."""

_PULLED = re.compile(r'(?:Failed to pull|Back-off pulling) image \\?"([^"\\]+)')


@dataclass(frozen=True)
class LeftOut:
    """Tests that are not run, and why: for want of ``images``, by their names in test/utils/image/manifest.go, or else."""

    reason: str
    images: tuple[str, ...]
    tests: tuple[str, ...]

    @classmethod
    def read(cls) -> tuple[LeftOut, ...]:
        """The list that is part of the repository."""
        return tuple(
            cls(item["reason"], tuple(item.get("images", ())), tuple(item["tests"]))
            for item in yaml.safe_load(LEFT_OUT.read_text()) or ()
        )


@dataclass(frozen=True)
class Result:
    """What became of one test."""

    name: str
    status: str
    seconds: float
    message: str
    wanted: tuple[str, ...]
    """Images that a node did not have and could not pull."""

    def __str__(self) -> str:
        lacking = f" (images that no node has: {', '.join(self.wanted)})" if self.wanted else ""
        return f"{self.status} after {self.seconds:.0f} s: {self.name}{lacking}: {self.message[:500]}"


def conformance(test: Path) -> set[str]:
    """Names of all conformance tests, as the program that holds them lists them."""
    done = subprocess.run([str(test), "--list-conformance-tests"], stdout=subprocess.PIPE, text=True, check=True)
    return {item["codename"] for item in yaml.safe_load(done.stdout)}


def pattern(names: Iterable[str]) -> str:
    """A regular expression of Go for tests with these names; it knows no escape of a space."""
    return "|".join(re.escape(name).replace("\\ ", " ") for name in sorted(names))


def results(junit: Path) -> dict[str, Result]:
    """What became of each test that ginkgo ran, by its name."""
    found = {}
    for case in ET.parse(junit).getroot().iter("testcase"):
        named = _TEST.fullmatch(case.get("name", ""))
        status = case.get("status", "")
        if named is None or (status == "skipped" and not _ran(case)):
            continue
        problem = next((part for kind in ("failure", "error", "skipped") for part in case.findall(kind)), None)
        output = "".join(part.text or "" for part in case.iter("system-err"))
        message = str(problem.get("message", "")) if problem is not None else ""
        wanted = tuple(sorted(set(_PULLED.findall(output)))) if problem is not None else ()
        found[named["name"]] = Result(named["name"], status, float(case.get("time", "0")), message, wanted)
    return found


def _ran(case: ET.Element) -> bool:
    """Whether a test that was skipped had begun: it said itself that it cannot run here."""
    return any((part.text or "").strip() for part in case.iter("system-err"))
