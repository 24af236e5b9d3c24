"""The clipboard of the terminal one sits at, through any number of ssh hops.

OSC 52 (xterm's control sequences, "Manipulate Selection Data") carries it; multiplexers stand in
the way: tmux takes it from a program with `set-clipboard on` alone and GNU screen never does.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping

from sparkplug.schema.text import strip_controls

#: Many terminals take no more than 100,000 characters of base64: what is longer may not arrive.
SURE = 74_994
#: GNU screen hands on what is in a device control string, up to 768 bytes of it.
_SCREEN_PIECE = 512
_TMUX_S = 3.0


def safe(text: str) -> str:
    """`text` without anything a terminal would act on when it is pasted; lines and tabs stay."""
    return strip_controls(text)


def sequence(text: str, environ: Mapping[str, str]) -> str:
    """What is written to the terminal of this environment to copy `text`."""
    data = base64.b64encode(text.encode(errors="replace")).decode()
    found = f"\x1b]52;c;{data}\x07"
    if environ.get("STY"):
        pieces = [found[at : at + _SCREEN_PIECE] for at in range(0, len(found), _SCREEN_PIECE)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    if environ.get("TERM", "").startswith("tmux") and not environ.get("TMUX"):
        # A tmux before an ssh: it takes the first with `set-clipboard on`, hands the second on
        # with `allow-passthrough on`, and swallows the other.
        doubled = found.replace("\x1b", "\x1b\x1b")
        return f"{found}\x1bPtmux;{doubled}\x1b\\"
    return found


def give_to_tmux(text: str, environ: Mapping[str, str]) -> bool:
    """Copy through the tmux one is in, whatever its settings; blocks. False when that fails.

    It goes into tmux's buffer, and tmux sends it on to the terminal (`-w`, from tmux 3.2 on).
    """
    if not environ.get("TMUX"):
        return False
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=text.encode(errors="replace"),
            env=dict(environ),
            capture_output=True,
            timeout=_TMUX_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def told(text: str) -> tuple[str, str]:
    """How much was copied, as a sentence and its pen."""
    size, lines = len(text.encode(errors="replace")), text.count("\n") + 1
    what = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
    if size > SURE:
        return f"copied {what}, {size:,} bytes: many terminals take only {SURE:,}", "warn"
    return f"copied {what}", "ok"
