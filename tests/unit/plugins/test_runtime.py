# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What meta/runtime.yml says of the collection."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def test_each_module_of_an_engine_is_in_the_group() -> None:
    """module_defaults of the group reach each module that has the option; tests/integration/test_galaxy.py sees that they do."""
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]
    members = [item for item in groups["kic"] if isinstance(item, str)]
    having = []
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        text = path.read_text()
        if re.search(r"^ *- nodeforge\.kic\.engine$", text, re.MULTILINE):
            having.append(path.stem)
    assert sorted(members) == sorted(having)
