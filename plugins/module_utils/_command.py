# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place of the collection that starts a process.

Everything above talks to a :class:`Runner`: an argument list goes in, an exit code and bytes come out. A shell is
never involved, so no value of a user is ever parsed a second time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Protocol, Union

TIMED_OUT = 124
"""The exit code of coreutils' timeout(1) when the limit was reached, which runners report too."""

KILL_AFTER = 5.0
"""Seconds between the request to end (SIGTERM) and the end (SIGKILL) of a program that has reached its limit."""

KILLED = (128 + signal.SIGKILL, -signal.SIGKILL)
"""Exit codes of a killed process: of a shell (and of timeout(1) where the program ignored SIGTERM), and of Python."""

SYSTEM_DIRECTORIES = ("/sbin", "/usr/sbin", "/usr/local/sbin")
"""Where a program is searched that is not in PATH, as AnsibleModule.get_bin_path does: PATH of an ordinary user may lack them."""

_C_LOCALE = {"LANGUAGE": "C", "LANG": "C", "LC_ALL": "C"}


@dataclass(frozen=True)
class CommandResult:
    """What a process answered. ``rc`` is 124 when it was ended at its time limit."""

    argv: tuple[str, ...]
    rc: int
    stdout: bytes
    stderr: bytes
    late: bool | None = field(default=None, compare=False)
    """Whether it was ended at its limit; None where only ``rc`` tells. A program may end with 124 by itself, as one
    does that runs timeout(1) inside a container."""

    @property
    def timed_out(self) -> bool:
        """Whether it was ended at its limit."""
        return self.rc == TIMED_OUT if self.late is None else self.late

    @property
    def out(self) -> str:
        """Standard output as text; undecodable bytes are kept visible."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def err(self) -> str:
        """Standard error as text; undecodable bytes are kept visible."""
        return self.stderr.decode("utf-8", "backslashreplace")

    @property
    def words(self) -> str:
        """What the process said of its failure: standard error, else standard output, stripped."""
        return self.err.strip() or self.out.strip()


class CommandNotFound(Exception):
    """The program is not on PATH. ``args[0]`` is its name."""


class Runner(Protocol):
    """Runs one command to its end."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run ``argv`` for at most ``timeout`` seconds, which no call goes without. Raises :class:`CommandNotFound`; any exit code is an answer."""


class SubprocessRunner:
    """A :class:`Runner` on the standard library.

    The program is the leader of a process group of its own, so that its limit ends what it has started as well.

    It is also that of modules. AnsibleModule's run_command has no limit, gives Popen a preexec_fn, which the standard library
    calls unsafe where there are threads, and waits for a whole second where a program ends between two of its looks, one after
    the other, at whether it has.
    """

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        pipe = subprocess.PIPE
        process = _started(argv, _environment(env or {}), subprocess.DEVNULL if stdin is None else pipe, pipe, pipe)
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            return CommandResult(tuple(argv), TIMED_OUT, *_end(process), late=True)
        except BaseException:
            # The user's Ctrl-C reaches this process only: the other one is in a session of its own.
            _end(process)
            raise
        return CommandResult(tuple(argv), process.returncode, stdout, stderr, late=False)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours with what is added, in English. Popen searches the program in the PATH of the environment that it is given."""
    found = {**os.environ, **_C_LOCALE, **more}
    found["PATH"] = os.pathsep.join([found.get("PATH", os.defpath), *SYSTEM_DIRECTORIES])
    return found


def _started(
    argv: Sequence[str], environment: Mapping[str, str], stdin: int, stdout: Any, stderr: Any
) -> subprocess.Popen[bytes]:
    """Start a program as the leader of a group of its own. Raises :class:`CommandNotFound`."""
    try:
        return subprocess.Popen(
            list(argv), stdin=stdin, stdout=stdout, stderr=stderr, env=environment, start_new_session=True
        )
    except FileNotFoundError as error:
        raise CommandNotFound(argv[0]) from error
    except PermissionError as error:
        # execvp(3) says so where a directory of PATH is closed to this user, as that of the user before sudo or su may be, and
        # the program is in none of the others.
        if os.sep in argv[0] or shutil.which(argv[0], path=environment.get("PATH")) is not None:
            raise
        raise CommandNotFound(argv[0]) from error


def _end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """End the process group as timeout(1) does: ask, and after some seconds kill. Returns what it wrote until then."""
    for number, seconds in ((signal.SIGTERM, KILL_AFTER), (signal.SIGKILL, KILL_AFTER)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            return process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"", error.stderr or b"")
    # Something that left the group still holds the pipes. It is not waited for.
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    return said


class Readable(Protocol):
    """A file that is open."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


Source = Union[Sequence[str], Readable]
"""A command whose output is meant, or a file."""


class Unreadable(Exception):
    """A file that is to be given to programs cannot be read to its end."""


_CHUNK = 1 << 20
_PIPE_SIZE = 1031
"""F_SETPIPE_SZ of fcntl(2), which Python knows from 3.10 on."""


@dataclass(frozen=True)
class Sink:
    """A program that is given something to read."""

    argv: Sequence[str]
    connect: Callable[[Callable[[], bool]], IO[bytes] | None] | None = None
    """Opens what it reads, in place of its standard input; told by a function whether it runs. None where it has ended before."""


@dataclass(frozen=True)
class Fed:
    """How programs ended that were given the same bytes; ``source`` is the one that wrote them, None for a file."""

    source: CommandResult | None
    sinks: tuple[CommandResult, ...]


class Feed:
    """Gives what one program writes, or a file holds, to the standard input of several programs at once.

    A program that ends before all was written gets no more, and the others go on.
    """

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._late = False

    def run(
        self, source: Source, sinks: Sequence[Sink], *, timeout: float, env: Mapping[str, str] | None = None
    ) -> Fed:
        """Start all, and wait for all of them, for at most ``timeout`` seconds."""
        environment = _environment(env or {})
        clock = threading.Timer(timeout, self._expire)
        clock.daemon = True
        with contextlib.ExitStack() as stack:
            stack.callback(self._kill)
            stack.callback(clock.cancel)
            outputs = [stack.enter_context(_outputs()) for _program in range(len(sinks) + 1)]
            readers = [
                self._start(sink.argv, environment, subprocess.DEVNULL if sink.connect else subprocess.PIPE, *found)
                for sink, found in zip(sinks, outputs)
            ]
            clock.start()
            targets = [_target(sink, process) for sink, process in zip(sinks, readers)]
            writer = None
            if isinstance(source, Sequence):
                writer = self._start(source, environment, subprocess.DEVNULL, subprocess.PIPE, outputs[-1][1])
                source = writer.stdout or outputs[-1][0]
            _copy(source, [target for target in targets if target is not None])
            if writer is not None and writer.stdout is not None:
                # Where nobody reads any more, it must not wait for that.
                writer.stdout.close()
            ended = [self._result(process, *found) for process, found in zip(readers, outputs)]
            return Fed(self._result(writer, *outputs[-1]) if writer is not None else None, tuple(ended))

    def _start(
        self, argv: Sequence[str], environment: Mapping[str, str], stdin: int, stdout: Any, stderr: Any
    ) -> subprocess.Popen[bytes]:
        process = _started(argv, environment, stdin, stdout, stderr)
        self._started.append(process)
        return process

    def _expire(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        for process in self._started:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _result(self, process: subprocess.Popen[bytes], out: IO[bytes], err: IO[bytes]) -> CommandResult:
        rc = process.wait()
        late = self._late and rc in KILLED
        argv = tuple(str(item) for item in process.args) if isinstance(process.args, list) else ()
        return CommandResult(argv, TIMED_OUT if late else rc, _content(out), _content(err), late)


def _target(sink: Sink, process: subprocess.Popen[bytes]) -> IO[bytes] | None:
    """Where a program reads from."""
    if sink.connect is None:
        return process.stdin
    return sink.connect(lambda: process.poll() is None)


def _content(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


@contextlib.contextmanager
def _outputs() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Files for what a program says: nobody has to read them while it runs."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        yield out, err


def _copy(source: Readable, sinks: Sequence[IO[bytes]]) -> None:
    """Copy all of ``source``. A sink whose reader has ended is left out; at the end all are closed."""
    import fcntl

    left = list(sinks)
    try:
        for sink in sinks:
            with contextlib.suppress(OSError):
                fcntl.fcntl(sink.fileno(), _PIPE_SIZE, _CHUNK)
        while left:
            try:
                chunk = source.read(_CHUNK)
            except Exception as error:
                raise Unreadable(f"{type(error).__name__}: {error}") from error
            if not chunk:
                return
            left = [sink for sink in left if _taken(sink, chunk)]
    finally:
        for sink in sinks:
            with contextlib.suppress(OSError):
                sink.close()


def _taken(sink: IO[bytes], chunk: bytes) -> bool:
    """Give a program what it is to read; False where it reads no more."""
    try:
        sink.write(chunk)
    except BrokenPipeError:
        return False
    return True


def run_if_there(
    runner: Runner, argv: list[str], *, timeout: float, env: Mapping[str, str] | None = None
) -> CommandResult:
    """Run a program that may be missing: its result then says so, as a shell's would."""
    try:
        return runner.run(argv, timeout=timeout, env=env)
    except CommandNotFound as error:
        return CommandResult(tuple(argv), 127, b"", f"{error.args[0]} is not installed".encode())
