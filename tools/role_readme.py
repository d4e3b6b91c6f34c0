# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write README.md of each role from its meta/argument_specs.yml (`make docs`), or say which differ (--check)."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = "nodeforge.kic"


def plain(text: str) -> str:
    """Turn Ansible's documentation markup into Markdown; O(a=b), V(x), C(x), I(x), B(x), M(x), U(url), L(text,url)."""
    text = re.sub(r"L\(([^,()]+),\s*([^()]+)\)", r"[\1](\2)", text)
    text = re.sub(r"U\(([^()]+)\)", r"<\1>", text)
    text = re.sub(r"I\(([^()]*)\)", r"*\1*", text)
    text = re.sub(r"B\(([^()]*)\)", r"**\1**", text)
    # A plugin is named with its kind: P(nodeforge.kic.kic_node#role).
    text = re.sub(r"\bP\(([^()#]+)(?:#\w+)?\)", r"`\1`", text)
    return re.sub(r"\b[OVECMR](?:P)?\(((?:[^()\\]|\\.)*)\)", r"`\1`", text)


def paragraphs(description: str | list[str]) -> list[str]:
    """Return a description, which may be one string or a list, as Markdown paragraphs."""
    parts = [description] if isinstance(description, str) else description
    return [" ".join(plain(part).split()) for part in parts]


def literal(value: Any) -> str:
    """Show a default or a choice as YAML on one line."""
    shown = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return f"`{shown.removesuffix(chr(10)).removesuffix('...').strip()}`"


def kind(option: dict[str, Any]) -> str:
    """Name an option's type: str, list of dict, ..."""
    name = str(option.get("type", "str"))
    return f"list of {option.get('elements', 'str')}" if name == "list" else name


def rows(options: dict[str, dict[str, Any]], prefix: str = "") -> list[str]:
    """Return the table rows of options; those of a dict follow it as outer.inner."""
    found = []
    for name, option in options.items():
        default = "**required**" if option.get("required") else ""
        if "default" in option:
            default = literal(option["default"])
        text = paragraphs(option.get("description", []))
        if "choices" in option:
            text.append("One of " + ", ".join(literal(choice) for choice in option["choices"]) + ".")
        cells = (f"`{prefix}{name}`", kind(option), default, "<br>".join(text))
        found.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        found += rows(option.get("options", {}), f"{prefix}{name}.")
    return found


class Indented(yaml.SafeDumper):
    """Writes lists inside mappings indented, as ansible-lint wants YAML."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent a list even where YAML would let it stand at its key."""
        super().increase_indent(flow, False)


def example(role: str, options: dict[str, dict[str, Any]]) -> list[str]:
    """Return a play with the role; options that must be given are shown with a place holder."""
    play: dict[str, Any] = {"role": f"{COLLECTION}.{role}"}
    play.update({name: f"<{name}>" for name, option in options.items() if option.get("required")})
    text = yaml.dump(
        [{"name": f"Use {role}", "hosts": "all", "roles": [play]}],
        Dumper=Indented,
        sort_keys=False,
        explicit_start=True,
    )
    return ["```yaml", text.rstrip(), "```"]


def render(role: Path) -> str:
    """Return the README of a role directory."""
    entries = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    lines = [
        f"<!-- Written by `make docs` from {role.relative_to(ROOT)}/meta/argument_specs.yml; change that. -->",
        "",
        f"# Role {COLLECTION}.{role.name}",
        "",
    ]
    for entry, spec in entries.items():
        options = spec.get("options", {})
        if entry != "main":
            lines += [f"## Entry point {entry}", ""]
        lines += [f"{plain(spec['short_description']).rstrip('.')}.", ""]
        for paragraph in paragraphs(spec.get("description", [])):
            lines += [paragraph, ""]
        if options:
            lines += ["| variable | type | default | meaning |", "| --- | --- | --- | --- |", *rows(options), ""]
        if entry == "main":
            lines += [*example(role.name, options), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write or check; the exit code is 1 when --check found a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, name the files that would change")
    check = parser.parse_args().check
    code = 0
    roles = sorted(path for path in ROOT.glob("roles/*") if path.is_dir())
    for role in roles:
        readme = role / "README.md"
        if not (role / "meta" / "argument_specs.yml").is_file():
            print(f"{role.relative_to(ROOT)} has no meta/argument_specs.yml", file=sys.stderr)
            code = 1
            continue
        text = render(role)
        if readme.is_file() and readme.read_text() == text:
            continue
        if check:
            print(f"{readme.relative_to(ROOT)} is not what its argument_specs say; run: make docs", file=sys.stderr)
            code = 1
        else:
            readme.write_text(text)
            print(f"wrote {readme.relative_to(ROOT)}")
    print(f"{len(roles)} roles")
    return code


if __name__ == "__main__":
    sys.exit(main())
