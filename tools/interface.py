# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the documented interface of two states of the repository: python tools/interface.py OLD [NEW]

The interface is what a user's playbook can name: modules, plugins and roles with their options (type, default, choices) and
the keys that they return. Each difference is one line; the exit code is 1 where something of OLD is gone or is otherwise
in NEW, which breaks a playbook unless the old form still works.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTED = re.compile(r"plugins/(modules|inventory|callback|lookup|filter)/(\w+)\.(?:py|yml)$")
ROLE = re.compile(r"roles/(\w+)/meta/argument_specs\.yml$")
OPTION = ("type", "elements", "default", "choices", "required", "aliases")


def git(*arguments: str) -> str:
    """What git prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def interface(ref: str) -> dict[str, str]:
    """What the state ``ref`` documents: ``module kic_node: memory`` to ``type: str, default: none``, and the like."""
    found: dict[str, str] = {}
    for path in git("ls-tree", "-r", "--name-only", ref).splitlines():
        plugin, role = DOCUMENTED.match(path), ROLE.match(path)
        if plugin is not None and not plugin[2].startswith("_"):
            text = git("show", f"{ref}:{path}")
            subject = f"{plugin[1].removesuffix('s')} {plugin[2]}"
            documentation = block(text, "DOCUMENTATION")
            if documentation:
                found[subject] = "present"
                found.update(options(f"{subject}: ", documentation.get("options") or {}))
                found.update(returned(f"{subject} returns ", block(text, "RETURN")))
        elif role is not None:
            specs = yaml.safe_load(git("show", f"{ref}:{path}"))["argument_specs"]
            for entry, spec in specs.items():
                subject = f"role {role[1]}" + ("" if entry == "main" else f" ({entry})")
                found[subject] = "present"
                found.update(options(f"{subject}: ", spec.get("options") or {}))
    return found


def block(text: str, name: str) -> Mapping[str, Any]:
    """A block of documentation of a plugin's source; {} where it has none."""
    written = re.search(rf'^{name} = r?"""\n?(.*?)^"""', text, re.MULTILINE | re.DOTALL)
    return (yaml.safe_load(written[1]) or {}) if written else {}


def options(prefix: str, described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each option, those of a dictionary as outer.inner, with what decides which values it takes."""
    for name, option in described.items():
        yield f"{prefix}{name}", ", ".join(f"{key}: {option[key]}" for key in OPTION if key in option)
        yield from options(f"{prefix}{name}.", option.get("options") or option.get("suboptions") or {})


def returned(prefix: str, described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each returned key with its type."""
    for name, value in described.items():
        yield f"{prefix}{name}", str(value.get("type", ""))
        yield from returned(f"{prefix}{name}.", value.get("contains") or {})


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """One line for each: ``-`` is gone, ``!`` is otherwise, ``+`` is new."""
    lines = [f"- {key} ({value})" for key, value in old.items() if key not in new]
    lines += [f"! {key} ({value}) -> ({new[key]})" for key, value in old.items() if key in new and new[key] != value]
    return lines + [f"+ {key} ({value})" for key, value in new.items() if key not in old]


if __name__ == "__main__":
    before, after = [*sys.argv[1:], "HEAD"][:2]
    found_differences = differences(interface(before), interface(after))
    print("\n".join(found_differences))
    sys.exit(any(not line.startswith("+") for line in found_differences))
