# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain technical English in what people read: phrases that a reader from the field would stumble over are not used."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

READ = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "examples/*.md",
    "roles/*.md",
    "roles/*.yml",
    "playbooks/*.yml",
    "plugins/*.py",
)
"""What people read: pages, tasks, documentation and messages."""

PHRASES = {
    r"\bcan not\b": "cannot",
    r"['\"})] ?is no (?!longer|such|more)[A-Za-z]": "is not a ...",
    r"asked for was\b": "expected",
    r"\bwas asked for\b": "was requested",
    r"\banew\b": "again",
    r"\banyhow\b": "in any case",
    r"\bmend(s|ed|ing)?\b": "repair",
    r"\b[Bb]eside\b": "next to",
    r"\b(he|him|his)\b": "they, them, their: a user is not a man",
    r"\bforetells?\b|\bforetold\b": "predicts",
}
"""Patterns, and what to write in their place."""


def pages() -> list[str]:
    """Paths of all that people read."""
    listed = subprocess.run(["git", "ls-files", "-z", *READ], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("pattern", PHRASES)
def test_phrases(pattern: str) -> None:
    """Each is named with its place and what to write."""
    search = re.compile(pattern)
    found = [
        f"{name}:{number}: {line.strip()} -> {PHRASES[pattern]}"
        for name in pages()
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if search.search(line)
    ]
    assert not found, "\n".join(found)


NOT_A_STEP = re.compile(
    r"^(Look|See|Have|Give|Say|Tell|Hand|Begin|Go|Refuse|Nothing|No|What|The same|Keep|Note)\b|\b(it|them)$"
)
"""How names of tasks began that did not say what is done."""


def test_names_of_tasks() -> None:
    """A task's name is an imperative that a person understands in the output of a run."""
    names = [
        (name, found[1])
        for name in pages()
        if re.match(r"(roles/.*/tasks|playbooks)/", name)
        for found in re.finditer(r"^\s*- name: (.*)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(names) > 50
    assert [
        (name, text) for name, text in names if NOT_A_STEP.search(text) or not re.match(r"[A-Z][a-z]+,? \w", text)
    ] == []


def test_the_patterns_find_something() -> None:
    """A pattern that cannot match proves nothing."""
    texts = "It can not. 'x' is no CIDR; asked for was 2. It was asked for anew, anyhow. mended beside him, as foretold"
    assert all(re.search(pattern, texts) for pattern in PHRASES)
