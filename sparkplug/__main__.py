"""`sparkplug`: the control centre when it is called alone on a terminal, else a verb.

The control centre is dispatched here, before anything of the command line is imported: the
first frame waits for nothing but Textual.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

# Looking for plugins of pydantic scans every installed package, and none of ours is one.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

_WITH_VALUE = ("--url", "--context", "--theme", "--pane")
_SWITCHES = ("--readonly", "--debug", "--yes", "-y")
#: Objects made that were not let go, after which a verb looks for garbage (700 by default).
_YOUNG = 50_000


def centre_options(words: Sequence[str]) -> dict[str, str | bool] | None:
    """The options of the control centre, or None when the words name a verb or anything else."""
    found: dict[str, str | bool] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word in _SWITCHES:
            found[word.lstrip("-")] = True
        elif name in _WITH_VALUE and equals:
            found[name.lstrip("-")] = value
        elif word in _WITH_VALUE and rest and not rest[0].startswith("-"):
            found[word.lstrip("-")] = rest.pop(0)
        else:
            return None
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run SparkPlug; the exit code to leave with."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = centre_options(words)
    if options is None:
        return _run_verb(words)
    if sys.stdin.isatty() and sys.stdout.isatty():
        # What is imported stays: a tenth of the first frame goes into walking it for garbage. The
        # control centre has it collected from its first frame on.
        gc.disable()
        from sparkplug.tui.main import main as open_centre

        return open_centre(
            url=_text(options, "url"),
            context=_text(options, "context"),
            theme=_text(options, "theme"),
            pane=_text(options, "pane"),
            readonly=bool(options.get("readonly")),
            debug=bool(options.get("debug")),
        )
    code = _run_verb([*words, "status"])
    print(
        "`sparkplug --help` lists the verbs; on a terminal `sparkplug` opens the control centre",
        file=sys.stderr,
    )
    return code


def _run_verb(words: Sequence[str]) -> int:
    # What a verb imports stays, and most end before there is garbage worth a walk through it: nor
    # is there need of one at the end.
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    from sparkplug.cli.main import main as run_verb

    code = run_verb(words)
    gc.freeze()
    return code


def _text(options: dict[str, str | bool], name: str) -> str | None:
    value = options.get(name)
    return value if isinstance(value, str) else None


if __name__ == "__main__":
    sys.exit(main())
