# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many small faults in what decides would the unit tests notice: python tools/mutants.py [MUTANT ...]

mutmut changes one thing at a time in each function of `_core` and in each planning function, and runs the unit tests that
call it. Printed are the survivors, which no test noticed, and the score of each file: noticed mutants of all. The exit code
is 1 where the whole is below SCORE. With names of mutants (patterns too) only those run. It takes about an hour; what was
noticed once is kept under the user's cache for as long as the function is the same.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = Path("ansible_collections/nodeforge/kic")
CORE = "plugins/module_utils/_core/"
PLANNING = re.compile(r"^ *def (_?plan_?\w*)\(", re.MULTILINE)
SCORE = 0.85
"""The share of mutants that has to be noticed."""

NOTICED = ("killed", "timeout", "segfault", "caught by type check")

SETTINGS = """\
[mutmut]
source_paths = {sources}
only_mutate =
    {files}
pytest_add_cli_args =
    --rootdir=.
    --config-file={collection}/pyproject.toml
    --override-ini=addopts=
    --import-mode=importlib
    -p
    no:cacheprovider
    -m
    not one_python and not full
    --ignore={collection}/tests/unit/module_utils/test_rooms.py
    --deselect={collection}/tests/unit/module_utils/test_diagnosis.py::test_calls
    --deselect={collection}/tests/unit/module_utils/test_command.py::test_every_call_has_a_limit
pytest_add_cli_args_test_selection =
    {collection}/tests/unit/module_utils
use_git_change_detection = false
timeout_multiplier = 6
"""
"""Without the tests that end a run at each operation, which call everything and would be run for each mutant, and without
those that read the sources, which are not ours there."""


def files() -> list[str]:
    """What git knows or would take, by its path from the root of the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listing.split("\0") if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def mutated(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The files that are mutated, and which of their functions; none named means all of them."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        if not name.startswith("plugins/module_utils/") or not name.endswith(".py"):
            continue
        if name.startswith(CORE):
            found[name] = ()
        elif planning := tuple(PLANNING.findall((ROOT / name).read_text())):
            found[name] = planning
    return found


def patterns(chosen: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The mutants of these functions, as mutmut names them: MODULE.x_FUNCTION__mutmut_1, MODULE.xǁCLASSǁMETHOD__mutmut_1."""
    found = []
    for name, functions in chosen.items():
        module = ".".join((COLLECTION / name).with_suffix("").parts)
        if not functions:
            found.append(f"{module}.*")
        for function in functions:
            found += [f"{module}.x_{function}__mutmut_*", f"{module}.xǁ*ǁ{function}__mutmut_*"]
    return found


def copy(names: Iterable[str], target: Path) -> None:
    """Make ``target`` hold these files and no other; one that is the same keeps its time, by which mutmut knows it."""
    wanted = {target / COLLECTION / name: ROOT / name for name in names}
    for old in (target / COLLECTION).rglob("*"):
        if old.is_file() and old not in wanted:
            old.unlink()
    for new, source in wanted.items():
        if not new.is_file() or new.read_bytes() != source.read_bytes():
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, new)


def report(text: str) -> tuple[list[str], float]:
    """The lines to print of mutmut's own list (``NAME: STATUS`` each), and the score of all."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for line in text.splitlines():
        name, _colon, status = line.strip().rpartition(": ")
        if not name or status == "not checked":
            continue
        module = name.partition(".x")[0].removeprefix(".".join(COLLECTION.parts) + ".plugins.module_utils.")
        counted[module]["noticed" if status in NOTICED else "other"] += 1
        if status not in NOTICED:
            survivors.append(f"{status}: {name}")
    lines = [*survivors, ""]
    for module, found in sorted(counted.items()):
        lines.append(f"{module:45} {found['noticed']:5} of {found.total():5} {found['noticed'] / found.total():6.0%}")
    noticed, whole = (
        sum(found["noticed"] for found in counted.values()),
        sum(found.total() for found in counted.values()),
    )
    score = noticed / whole if whole else 0.0
    lines.append(f"{'all':45} {noticed:5} of {whole:5} {score:6.1%}")
    return lines, score


def main() -> int:
    """Mutate, test, report."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nodeforge.kic" / "mutants"
    names = files()
    chosen = mutated(names)
    copy(names, cache)
    settings = SETTINGS.format(
        sources=COLLECTION.parts[0],
        collection=COLLECTION,
        files="\n    ".join(str(COLLECTION / name) for name in chosen),
    )
    (cache / "setup.cfg").write_text(settings)
    # Which tests call what is found anew: those that are gone since would be run.
    (cache / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(cache / "mutants"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["mutmut", "run", *(sys.argv[1:] or patterns(chosen))], cwd=cache, env=environment, check=False
    )
    if done.returncode:
        return done.returncode
    listed = subprocess.run(
        ["mutmut", "results", "--all", "true"], cwd=cache, env=environment, capture_output=True, text=True, check=True
    )
    lines, score = report(listed.stdout)
    print("\n".join(lines))
    return 0 if score >= SCORE else 1


if __name__ == "__main__":
    sys.exit(main())
