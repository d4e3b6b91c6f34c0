# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The threat model names tests that exist, and each of its defences has one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)))


def test_each_named_test_exists() -> None:
    """A test that was renamed or removed is renamed or removed there too."""
    assert NAMED
    missing = []
    for file, test in NAMED:
        path = ROOT / "tests" / file
        if not path.is_file() or f"def {test}(" not in path.read_text(encoding="utf-8"):
            missing.append(f"{file}::{test}")
    assert missing == []


def test_each_row_names_a_test() -> None:
    """What nothing proves is not among the defences."""
    rows = [line for line in TEXT.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 10
    assert [row for row in rows if "::" not in row] == []


def test_the_readme_leads_to_it() -> None:
    """A reader who never opens docs/ finds it."""
    assert "(docs/security.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
