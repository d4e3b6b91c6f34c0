# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/troubleshooting.md from the catalogue of causes and docs/user_cases.yml (`make docs`), or --check it."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
CASES = ROOT / "docs" / "user_cases.yml"

HEAD = """<!-- Written by `make docs` from plugins/module_utils/_core/diagnosis.py and docs/user_cases.yml; change those. -->

# Causes of failures

A failed task of nodeforge.kic returns `diagnosis` with `id`, `cause`, `fix` and the program's own words as `output`.
Upper case stands for what the task fills in. A `warning` fails no task: nodeforge.kic.oci_engine_info returns it among
the improvements of an engine. `lost` is an error where something cannot be got back.
"""


def shown(template: str) -> str:
    """Return a template of the catalogue with its fields in upper case."""
    text = re.sub(r"{(\w+)(?::[^}]*)?}", lambda match: match.group(1).upper(), template)
    return text.replace("{{", "{").replace("}}", "}")


def entries() -> list[str]:
    """Return the lines of the catalogue: each entry under a heading that is its id."""
    found = []
    for name, entry in CATALOGUE.items():
        found += [f"## {name}", "", shown(entry.cause), ""]
        found += [f"- Fix: {shown(entry.fix)}", f"- Severity: {entry.severity}", f"- Known from: {entry.known}", ""]
    return found


def case(item: dict[str, Any]) -> str:
    """Return the table row of a user's case. Raises KeyError for an entry that the catalogue does not hold."""
    answers = [f"[{name}](#{name})" for name in item.get("entries", []) if CATALOGUE[name]]
    if "prevented" in item:
        answers.append(f"does not happen: {item['prevented']}")
    if "reach" in item:
        answers.append(f"out of reach: {item['reach']}")
    if not answers:
        raise KeyError(item["case"])
    return f"| {item['case']} | {item['problem']} | {', '.join(answers)} |"


def render() -> str:
    """Return the page."""
    cases = [case(item) for item in yaml.safe_load(CASES.read_text())]
    table = ["# What users of minikube and kind met", "", "| threads | problem | here |", "| --- | --- | --- |", *cases]
    return "\n".join([HEAD, *entries(), *table]) + "\n"


def main() -> int:
    """Write or check; the exit code is 1 when --check found a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say whether the page would change")
    text = render()
    if parser.parse_args().check:
        if PAGE.is_file() and PAGE.read_text() == text:
            print(f"{len(CATALOGUE)} causes")
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not what the catalogue says; run: make docs", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}: {len(CATALOGUE)} causes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
