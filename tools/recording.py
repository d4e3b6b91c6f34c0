# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record what commands print on a terminal as a picture: python tools/recording.py docs/make-site.svg 'make site' …

Each command really runs, in a terminal of its own, in the order given; the first that fails ends the recording. Of a long
output the picture shows the last lines and how many there were before.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, LAST = 112, 34
"""Width of the terminal, and how many lines of a command's output the picture shows at most."""


def recorded(command: str) -> str:
    """What a command prints on a terminal, colours included; raises SystemExit where it fails."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("sh", ["sh", "-c", command], {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            # Linux answers so when the last process of the terminal has ended.
            break
        if not part:
            break
        parts.append(part)
    os.close(terminal)
    text = b"".join(parts).decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        raise SystemExit(f"{command} ended with {code}:\n{text}")
    return text


def shown(output: str) -> list[str]:
    """The lines of an output that the picture shows."""
    # A line that is written over shows what was written last.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in output.rstrip().split("\n")]
    left_out = len(lines) - LAST
    return [f"\x1b[2m… {left_out} lines …\x1b[0m", "", *lines[-LAST:]] if left_out > 0 else lines


def picture(commands: list[str], title: str) -> str:
    """An SVG of a terminal in which the commands were run."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), color_system="truecolor")
    for number, command in enumerate(commands):
        output = recorded(command)
        console.print(Text("\n" * bool(number)) + Text.assemble(("$ ", "bold green"), (command, "bold")))
        for line in shown(output):
            console.print(Text.from_ansi(line), overflow="fold")
    # The ids differ from run to run otherwise, and fonts are not fetched from anywhere.
    text = console.export_svg(title=title, unique_id="recording")
    return re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL)


if __name__ == "__main__":
    path, *typed = sys.argv[1:]
    Path(path).write_text(picture(typed, "nodeforge.kic"), encoding="utf-8")
