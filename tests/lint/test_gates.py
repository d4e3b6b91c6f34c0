# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates: whole-tree checks by other programs, each one test.

They take seconds to a minute each and do not disturb each other, so they are started together, as many at a time as
there are cores, and each test waits for its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree as ET

import pytest
import yaml

from ..pythons import NoPythonError, python

ROOT = Path(__file__).resolve().parents[2]
NAME = ("ansible_collections", "nodeforge", "kic")

SHIPPED = (
    "CHANGELOG.md",
    "COPYING",
    "LICENSES",
    "README.md",
    "bindep.txt",
    "changelogs/changelog.yaml",
    "changelogs/config.yaml",
    "meta",
    "playbooks",
    "plugins",
    "roles",
)
"""What a user of the collection needs. Its changelog is there from the first release on."""


@dataclass(frozen=True)
class Outcome:
    """What a gate's command answered: its exit code and its standard output and error as one text."""

    command: str
    rc: int
    text: str

    def passed(self) -> str:
        """Assert that the command ended with 0 and return its text."""
        assert self.rc == 0, f"{self.command} ended with {self.rc}:\n{self.text}"
        return self.text


def run(argv: Sequence[str | Path], cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Outcome:
    """Run a command of the test environment to its end, without standard input; ``env`` is added to ours."""
    done = subprocess.run(
        [str(arg) for arg in argv],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "ANSIBLE_FORCE_COLOR": "0", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    return Outcome(" ".join(map(str, argv)), done.returncode, done.stdout.decode("utf-8", "backslashreplace"))


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the checkout that git knows or would take (new ones too, ignored ones not)."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = sorted(set(listing.stdout.decode().split("\0")) - {""})
    # A file deleted but not yet committed is still in git's list.
    return [ROOT / name for name in names if (ROOT / name).is_symlink() or (ROOT / name).is_file()]


@dataclass(frozen=True)
class Place:
    """Where gates work.

    ``tree`` holds ansible_collections/nodeforge/kic, a link to the checkout (made by tools/env). ``copy`` is the
    collection copied to a place outside every git checkout, for ansible-test and the build: ansible-test asks git
    for the files, and inside an outer checkout it takes that one's ignore rules, finds nothing to do and passes.
    ``scratch`` is empty.
    """

    tree: Path
    copy: Path
    scratch: Path


def copy_collection(target: Path) -> Path:
    """Copy what git knows or would take to target/ansible_collections/nodeforge/kic; return that."""
    target = target.joinpath(*NAME)
    target.mkdir(parents=True)
    for path in tracked():
        new = target / path.relative_to(ROOT)
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, new, follow_symlinks=False)
    return target


GATES: dict[str, Callable[[Place], Outcome]] = {}


def gate(function: Callable[[Place], Outcome]) -> Callable[[Place], Outcome]:
    """Register what test_<name> waits for; the order here is the order of starting, so the slow ones stand first."""
    GATES["test_" + function.__name__] = function
    return function


def sanity(place: Place, copy: Path, targets: Sequence[str]) -> Outcome:
    """ansible-test sanity on files of a copy, every test of it, results as JUnit files."""
    # Kept next to the checkout's tree: the environments that ansible-test makes there cost half a minute.
    home = place.tree / "ansible-test"
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    # ansible-test makes a virtual environment without pip and would download get-pip; the interpreter brings pip
    # with it. The name is that of the pip which this ansible-core pins.
    internal = importlib.util.find_spec("ansible_test._internal")
    assert internal is not None
    assert internal.origin is not None
    pinned = re.search(r"\bpip='([\d.]+)'", Path(internal.origin).with_name("python_requirements.py").read_text())
    assert pinned, "ansible-test names its pip in another way now; see python_requirements.py"
    cache.joinpath(f"get_pip_{pinned[1].replace('.', '_')}.py").write_text(
        "import ensurepip\nensurepip.bootstrap(upgrade=True, default_pip=True)\n"
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    done = run(
        [
            *("ansible-test", "sanity", "--local", "--python", version, "--junit", "--color", "no"),
            # A directory ends with a slash there.
            *(f"{name}/" if (copy / name).is_dir() else name for name in targets),
        ],
        cwd=copy,
        # An ANSIBLE_CONFIG of the outside has no meaning for the copy.
        env={"HOME": str(home), "ANSIBLE_CONFIG": ""},
    )
    if done.rc:
        # pip's words on the environments would bury the findings.
        findings = [line for line in done.text.splitlines() if line.startswith(("ERROR", "FATAL"))]
        return Outcome(done.command, done.rc, "\n".join(findings) or done.text)
    return done


@gate
def ansible_test_sanity(place: Place) -> Outcome:
    """ansible-test sanity on what is shipped."""
    return sanity(place, place.copy, [name for name in SHIPPED if (ROOT / name).exists()])


@gate
def sanity_of_what_is_not_shipped(place: Place) -> Outcome:
    """ansible-test sanity on tests, tools and documents."""
    copy = copy_collection(place.scratch / "whole")
    return sanity(place, copy, sorted({path.relative_to(ROOT).parts[0] for path in tracked()} - {*SHIPPED}))


@gate
def module_utils_on_python_39(place: Place) -> Outcome:
    """The unit tests of module_utils under Python 3.9 without ansible-core, as on a managed host.

    All but those that are marked to say nothing about the version of Python, and why.
    """
    oldest, lock = python("3.9"), ROOT / "requirements/py39.txt"
    # Kept next to the checkout's tree, as to make it costs a fifth of this gate.
    venv = place.tree / "py39" / sha256(f"{oldest}\n{lock.read_text()}".encode()).hexdigest()[:16]
    pip: list[str | Path] = [
        venv / "bin/pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
    ]
    steps: tuple[Sequence[str | Path], ...] = (
        [oldest, "-m", "venv", "--clear", venv],
        [*pip, "--only-binary", ":all:", "-r", lock],
    )
    for step in steps if not (venv / "complete").exists() else ():
        done = run(step)
        if done.rc:
            return done
    (venv / "complete").touch()
    return run(
        [
            venv / "bin/python",
            "-m",
            "pytest",
            "-o",
            "addopts=",
            "--import-mode=importlib",
            "-p",
            "no:cacheprovider",
            "-q",
            "-ra",
            "-m",
            "not one_python",
            "tests/unit/module_utils",
        ],
        env={"PYTHONPATH": str(place.tree), "VIRTUAL_ENV": str(venv)},
    )


@gate
def ansible_lint(place: Place) -> Outcome:
    """ansible-lint with the production profile of .ansible-lint."""
    return run(["ansible-lint", "--nocolor"], env={"ANSIBLE_HOME": str(place.scratch / "lint-home")})


@gate
def documentation(place: Place) -> Outcome:
    """antsibull-docs: markup and cross references of plugins and roles."""
    return run(
        [
            "antsibull-docs",
            "lint-collection-docs",
            "--plugin-docs",
            "--validate-collection-refs",
            "all",
            "--disallow-unknown-collection-refs",
            ROOT,
        ],
        env={"ANSIBLE_HOME": str(place.scratch / "docs-home")},
    )


@gate
def mypy(place: Place) -> Outcome:
    """mypy --strict on everything in Python, under the names by which it is imported."""
    config = ("mypy", "--config-file", ROOT / "pyproject.toml")
    packages = [name for name in ("plugins", "tests", "tools", "benchmarks") if tracked(f"{name}/*.py")]
    arguments = [part for name in packages for part in ("-p", ".".join((*NAME, name)))]
    runs = [run([*config, *arguments], cwd=place.tree)]
    # Programs that roles bring along are started by their directory; their modules import each other by bare name.
    runs += [run([*config, "."], cwd=main.parent) for main in tracked("roles/*/__main__.py")]
    return Outcome("mypy", max(one.rc for one in runs), "".join(one.text for one in runs))


@gate
def build(place: Place) -> Outcome:
    """Build the collection, install the result alone, and load all that users call."""
    dist, installed = place.scratch / "dist", place.scratch / "installed"
    env = {"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_HOME": str(place.scratch / "build-home")}
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    tarball = dist / f"nodeforge-kic-{version}.tar.gz"
    playbooks = [f"nodeforge.kic.{path.stem}" for path in sorted(place.copy.glob("playbooks/*.yml"))]
    steps: tuple[Sequence[str | Path], ...] = (
        ["ansible-galaxy", "collection", "build", "--output-path", dist, place.copy],
        ["ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", installed, tarball],
        ["ansible-doc", "--type", "module", "--list", "nodeforge.kic"],
        ["ansible-playbook", "--syntax-check", "-i", "localhost,", *playbooks],
    )
    text = ""
    for step in steps:
        done = run(step, cwd=place.scratch, env=env)
        text += done.text
        if done.rc:
            return done
    return Outcome("build", 0, text)


@gate
def galaxy_importer(place: Place) -> Outcome:
    """What Galaxy does with an upload, ansible-doc and ansible-lint among it."""
    # Galaxy refuses a collection without the address of its repository, which a person chooses before the first
    # release. That of a domain kept for examples (RFC 2606) takes its place until then.
    source = copy_collection(place.scratch / "upload")
    galaxy = source / "galaxy.yml"
    if "repository" not in yaml.safe_load(galaxy.read_text()):
        galaxy.write_text(f"{galaxy.read_text()}repository: https://example.com/nodeforge.kic\n")
    dist = place.scratch / "upload-dist"
    built = run(["ansible-galaxy", "collection", "build", "--output-path", dist, source], cwd=place.scratch)
    if built.rc:
        return built
    (tarball,) = dist.glob("*.tar.gz")
    return run(
        [sys.executable, "-m", "galaxy_importer.main", tarball],
        cwd=dist,
        env={"HOME": str(place.scratch / "upload-home"), "ANSIBLE_CONFIG": "", "ANSIBLE_COLLECTIONS_PATH": ""},
    )


@gate
def yamllint(_place: Place) -> Outcome:
    """yamllint on every YAML file."""
    return run(["yamllint", "--strict", "--format", "parsable", *tracked("*.yml", "*.yaml", ".yamllint")])


@gate
def ruff_check(_place: Place) -> Outcome:
    """The linter ruff."""
    return run(["ruff", "check", "--no-fix", "--output-format", "concise", "."])


@gate
def ruff_format(_place: Place) -> Outcome:
    """The formatter ruff, which changes nothing here."""
    return run(["ruff", "format", "--check", "."])


@gate
def shellcheck(_place: Place) -> Outcome:
    """shellcheck on every shell script."""
    return run(["shellcheck", "--external-sources", *shell_scripts()])


@gate
def troubleshooting(place: Place) -> Outcome:
    """docs/troubleshooting.md against the catalogue of causes."""
    return run([sys.executable, "tools/troubleshooting.py", "--check"], env={"PYTHONPATH": str(place.tree)})


@gate
def role_readmes(_place: Place) -> Outcome:
    """The READMEs of the roles against their argument specifications."""
    return run([sys.executable, "tools/role_readme.py", "--check"])


@gate
def changelog(_place: Place) -> Outcome:
    """antsibull-changelog on the fragments."""
    return run(["antsibull-changelog", "lint"])


@gate
def hosted_workflows(_place: Place) -> Outcome:
    """The schema of GitHub's workflows, as check-jsonschema brings it along."""
    workflows = tracked(".github/workflows/*.yml", "examples/*/.github/workflows/*.yml")
    return run(["check-jsonschema", "--verbose", "--builtin-schema", "vendor.github-workflows", *workflows])


@gate
def pre_commit(place: Place) -> Outcome:
    """Every hook on every file."""
    # pre-commit refuses a configuration of the checkout that is not staged.
    configuration = place.scratch / "pre-commit.yaml"
    shutil.copy(ROOT / ".pre-commit-config.yaml", configuration)
    home = {"PRE_COMMIT_HOME": str(place.scratch / "pre-commit")}
    return run(["pre-commit", "run", "--all-files", "--color", "never", "--config", configuration], env=home)


def shell_scripts() -> list[Path]:
    """Return the shell scripts of the checkout, known by their first line."""

    def is_shell(path: Path) -> bool:
        if path.is_symlink():
            return False
        with path.open("rb") as file:
            return bool(re.match(rb"#!\s*/\S*(/|/env\s+)(ba|da)?sh\b", file.readline(200)))

    return [path for path in tracked() if is_shell(path)]


class Outcomes:
    """Runs the gates whose tests were selected and hands out their outcomes."""

    def __init__(self, executor: ThreadPoolExecutor, place: Place, tests: set[str]) -> None:
        self._runs: dict[str, Future[Outcome]] = {
            name: executor.submit(function, place) for name, function in GATES.items() if name in tests
        }

    def __getitem__(self, name: str) -> Outcome:
        return self._runs[name].result()


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """Start the gates of the selected tests."""
    tree = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep)[0])
    assert tree.joinpath(*NAME).resolve() == ROOT, "run the tests by make test or tools/env test pytest"
    place = Place(tree, copy_collection(tmp_path_factory.mktemp("copy")), tmp_path_factory.mktemp("gates"))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as executor:
        yield Outcomes(executor, place, {item.name for item in request.session.items})


@pytest.fixture
def outcome(request: pytest.FixtureRequest, outcomes: Outcomes) -> Outcome:
    """The outcome of the gate that the test is named after."""
    return outcomes[request.node.name]


# The tests: fast gates first, so that a slip is seen early. Each asserts that its program had something to look at.


def test_ruff_check(outcome: Outcome) -> None:
    """No findings of the linter."""
    outcome.passed()


def test_ruff_format(outcome: Outcome) -> None:
    """Formatted as `make format` does."""
    looked_at = re.search(r"^(\d+) files? already formatted", outcome.passed(), re.MULTILINE)
    assert looked_at
    assert int(looked_at[1]) >= len(tracked("*.py"))


def test_yamllint(outcome: Outcome) -> None:
    """No findings in YAML files."""
    outcome.passed()


def test_shellcheck(outcome: Outcome) -> None:
    """No findings in shell scripts."""
    assert ROOT / ".ci/run" in shell_scripts()
    outcome.passed()


def test_hosted_workflows(outcome: Outcome) -> None:
    """The hosted CI's files are what it reads, and name the command that CI is."""
    assert "/ci.yml " in outcome.command and outcome.command.endswith("molecule.yml")
    outcome.passed()
    assert "bash .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()


@pytest.mark.full("each hook is a gate of its own")
def test_pre_commit(outcome: Outcome) -> None:
    """Every hook has run, and found nothing."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lines = [line for line in outcome.passed().splitlines() if line.endswith("Passed")]
    assert len(lines) == len(hooks), outcome.text


def test_changelog(outcome: Outcome) -> None:
    """The fragments are valid, and there is one or a release."""
    outcome.passed()
    assert (
        tracked("changelogs/fragments/*.yml") or "releases: {}" not in (ROOT / "changelogs/changelog.yaml").read_text()
    )


def test_troubleshooting(outcome: Outcome) -> None:
    """The page of causes is what `make docs` writes."""
    assert "causes" in outcome.passed()


def test_engine_differences() -> None:
    """Each line of docs/engines.md names tests that there are."""
    lines = (ROOT / "docs" / "engines.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| ---", "| what"))]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.split(" | ")[-1])
        assert named, row
        for path, test in named:
            assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{test}"


def test_role_readmes(outcome: Outcome) -> None:
    """Each role's README is what `make docs` writes."""
    roles = {path.relative_to(ROOT).parts[1] for path in tracked("roles/*")}
    assert outcome.passed().splitlines()[-1] == f"{len(roles)} roles"


# Joined from pieces, because this file is searched too.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("registry", "npmjs", "org"),
        ("static", "crates", "io"),
    )
]
PLACES = sorted({f"{ROOT}/", "/".join(("", "work", "main")), "/".join(("", "tmp", "brief")), "/." + "pyenv/versions"})


@pytest.mark.parametrize("word", [*HOSTS, *PLACES])
def test_nothing_of_this_machine(word: str) -> None:
    """No file holds a path of a developer's machine or the host of a package registry: clients are configured."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if not path.is_symlink()
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if word.encode() in line
    ]
    assert not found, f"{word} stands in {found}"


BROUGHT = {
    "cc": "built images need it, and are built before",
    "openssl": "ca-certificates",
    "systemd-analyze": "podman",
    "unshare": "every Debian",
}
"""Programs that a test may lack, with what brings them to a machine that .ci/run prepares."""


def test_programs_of_the_tests() -> None:
    """A bare machine gets each program without which a test cannot run."""
    prepared = (ROOT / ".ci" / "run").read_text()
    missing = {
        f"{path.relative_to(ROOT)}: {program}"
        for path in tracked("tests/**/*.py")
        for program in re.findall(r'which\("([\w.-]+)"[^\n]*\) is None', path.read_text())
        if program not in BROUGHT and not re.search(rf"command -v {program}\b|/{program}\b", prepared)
    }
    assert not missing, f"{missing}: let .ci/run install it"


def test_licence_headers() -> None:
    """Every source file names its licence in its first lines."""
    sources = [path for path in {*tracked("*.py", "*.go"), *shell_scripts()} if path.stat().st_size]
    assert len(sources) > 10
    bare = [
        str(path.relative_to(ROOT))
        for path in sorted(sources)
        if "SPDX-License-Identifier: GPL-3.0-or-later" not in "".join(path.read_text().splitlines(keepends=True)[:8])
    ]
    assert not bare, f"no licence header in {bare}"


def test_mypy(outcome: Outcome) -> None:
    """mypy --strict is clean."""
    looked_at = re.findall(r"no issues found in (\d+) source files", outcome.passed())
    assert sum(map(int, looked_at)) >= len(tracked("*.py"))


def test_ansible_lint(outcome: Outcome) -> None:
    """Clean by the production profile."""
    looked_at = re.search(r"Passed: 0 failure\(s\), 0 warning\(s\) in (\d+) files processed", outcome.passed())
    assert looked_at, outcome.text
    assert int(looked_at[1]) >= len(tracked("roles/**/*.yml", "playbooks/*.yml"))
    assert "production" in outcome.text


def test_documentation(outcome: Outcome) -> None:
    """Plugin and role documentation is sound."""
    outcome.passed()


def test_build(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The built collection holds what users need and no more, and works installed alone."""
    outcome.passed()
    (tarball,) = tmp_path_factory.getbasetemp().glob("gates[0-9]*/dist/*.tar.gz")
    with tarfile.open(tarball) as archive:
        files = {member.name: member.size for member in archive if not member.isdir()}
    shipped = {str(path.relative_to(ROOT)) for path in tracked(*SHIPPED)}
    assert set(files) == shipped | {"MANIFEST.json", "FILES.json"}
    size = tarball.stat().st_size
    print(f"{tarball.name}: {size} bytes, {len(files)} files of {sum(files.values())} bytes")
    assert size < 700_000, "more than source text got into the collection"
    for module in tracked("plugins/modules/*.py"):
        assert f"nodeforge.kic.{module.stem} " in outcome.text, f"{module.stem} is not listed by ansible-doc"


@pytest.mark.full(
    "the upload of a release; ansible-lint, ansible-doc and the build have tests of their own in the quick set"
)
def test_galaxy_importer(outcome: Outcome) -> None:
    """Galaxy takes the collection and has nothing to warn of."""
    text = outcome.passed()
    assert "Importer processing completed successfully" in text
    assert "...ansible-lint run complete" in text, text
    for module in tracked("plugins/modules/*.py"):
        assert f"Loading module {module.stem}\n" in text
    assert not re.findall(r"^.*(?:WARNING|ERROR|Warning:).*$", text, re.MULTILINE), text


def sanity_tests(copy: Path) -> set[str]:
    """The sanity tests that have run in a copy; none of them found anything."""
    ran = set()
    for report in copy.glob("tests/output/junit/*.xml"):
        for case in ET.parse(report).iter("testcase"):
            assert case.find("failure") is None, ET.tostring(case)
            ran.add(case.get("name") or "")
    return ran


def test_ansible_test_sanity(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> None:
    """ansible-test sanity passes without ignores, and its tests have run."""
    outcome.passed()
    assert not tracked("tests/sanity/ignore*.txt"), "no finding is ignored here"
    (copy,) = tmp_path_factory.getbasetemp().glob("copy[0-9]*/" + "/".join(NAME))
    ran = sanity_tests(copy)
    # These look at modules; when ansible-test skips all targets they write no report.
    for name in ("compile", "import", "pep8", "pylint", "validate-modules", "yamllint"):
        assert any(name in case for case in ran), f"the sanity test {name} did not run, only {sorted(ran)}"


@pytest.mark.full("half as long as what is shipped takes; ruff and mypy look at it in the quick set")
def test_sanity_of_what_is_not_shipped(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same of the tests and tools, which a user of the collection does not get."""
    outcome.passed()
    (copy,) = tmp_path_factory.getbasetemp().glob("gates[0-9]*/whole/" + "/".join(NAME))
    ran = sanity_tests(copy)
    for name in ("compile", "pep8", "pylint", "yamllint"):
        assert any(name in case for case in ran), f"the sanity test {name} did not run, only {sorted(ran)}"


@pytest.mark.outermost(
    "neither Debian nor another package registry has Python 3.9; the machine around a clean room does"
)
def test_module_utils_on_python_39(outcomes: Outcomes, request: pytest.FixtureRequest) -> None:
    """What runs on a managed host runs on its oldest Python."""
    try:
        text = outcomes[request.node.name].passed()
    except NoPythonError as error:
        cannot_run(str(error))
    passed = re.search(r"^(?:=+ )?(\d+) passed", text.splitlines()[-1])
    assert passed, text
    assert int(passed[1]) > 5000, "the marker one_python is for a few that take long"
    assert "skipped" not in text.splitlines()[-1], text


def cannot_run(reason: str) -> NoReturn:
    """See tests/conftest.py."""
    pytest.skip(reason)
