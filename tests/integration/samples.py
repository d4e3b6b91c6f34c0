# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module returned, against what its documentation says that it returns: names, types and samples."""

from __future__ import annotations

import re
from typing import Any

import yaml

from .conftest import ROOT

# What ansible-core, the test's own play or a failed attempt adds to a result.
FOREIGN = {
    "changed",
    "diff",
    "invocation",
    "failed",
    "failed_when_result",
    "msg",
    "warnings",
    "deprecations",
    "_ansible_no_log",
}
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}


def documented(module: str) -> dict[str, Any]:
    """The module's RETURN block."""
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text()
    found = re.search(r'^RETURN = r"""\n(.*?)^"""', text, re.MULTILINE | re.DOTALL)
    assert found
    block: dict[str, Any] = yaml.safe_load(found[1])
    return block


def differences(module: str, result: dict[str, Any]) -> list[str]:
    """How the result of a success is otherwise than documented."""
    block = documented(module)
    found = [
        f"{name} is returned and not documented"
        for name in sorted(set(result) - set(block) - FOREIGN)
        if not name.startswith(("_ansible", "ansible_", "item"))
    ]
    for name, entry in block.items():
        if entry["returned"] == "failure":
            continue
        if name not in result:
            found.append(f"{name} is documented and not returned")
            continue
        if "sample" not in entry:
            found.append(f"{name} has no sample")
            continue
        found += _value(name, entry, entry["sample"], result[name])
    return found


def _value(path: str, entry: dict[str, Any], sample: Any, real: Any) -> list[str]:
    """Of one value: the documented type holds for sample and result, and records have the documented fields."""
    found = []
    for what, value in (("sample", sample), ("result", real)):
        fits = isinstance(value, TYPES[entry["type"]]) and (entry["type"] == "bool" or not isinstance(value, bool))
        if value is not None and not fits:
            found.append(f"{path}: the {what} {value!r} is no {entry['type']}")
    if found:
        return found
    if entry["type"] == "list":
        samples, reals = list(sample or ()), list(real or ())
        if entry.get("elements") != "dict":
            return found
        for item in reals:
            found += _record(f"{path}[]", entry, samples[0] if samples else None, item)
    elif entry["type"] == "dict" and real:
        found += _record(path, entry, sample, real)
    return found


def _extended(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of another module's return value, of one that is described as that "with the following"."""
    text = " ".join(entry["description"]) if isinstance(entry["description"], list) else entry["description"]
    found = re.search(r"RV\(nodeforge\.kic\.(\w+)#module:(\w+)\).* with the following", text)
    other = documented(found[1])[found[2]] if found else {}
    fields: dict[str, Any] = other.get("contains") or other.get("sample") or {}
    return fields


def _record(path: str, entry: dict[str, Any], sample: Any, real: dict[str, Any]) -> list[str]:
    """Of a dictionary: its fields are those that are listed, next to those of the return value that it extends, or else those of
    the sample."""
    fields = {**_extended(entry), **(entry.get("contains") or {})} or ({} if "." in path else sample) or {}
    found = []
    if fields and set(real) != set(fields):
        found.append(f"{path}: returned and documented differ in {sorted(set(real) ^ set(fields))}")
    if "contains" in entry and sample and set(sample) != set(fields):
        found.append(f"{path}: sample and documented differ in {sorted(set(sample) ^ set(fields))}")
    for name, inner in (entry.get("contains") or {}).items():
        if name in real:
            found += _value(f"{path}.{name}", inner, (sample or {}).get(name), real[name])
    return found
