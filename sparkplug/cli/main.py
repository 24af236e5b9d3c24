"""From arguments to an exit code: parse, run the verb, tell what went wrong."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from sparkplug.cli.context import Cli
from sparkplug.cli.output import Output, to_json
from sparkplug.cli.parser import build_parser
from sparkplug.schema.errors import DeadlineError, NoMeshError, SparkplugError

_INTERRUPTED = 130
#: Verbs of other rooms take the parsed arguments and nothing else.
_OTHER_ROOMS = ("sparkplug.demo:", "sparkplug.tui.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one call of the command line; the exit code to leave with."""
    words = list(sys.argv[1:] if argv is None else argv)
    wants_json = "--json" in words or _output_of(words) == "json"
    debug = "--debug" in words
    logging.basicConfig(level=logging.DEBUG if debug else logging.CRITICAL, stream=sys.stderr)
    try:
        args = build_parser(words).parse_args(words)
        return dispatch(args)
    except SparkplugError as error:
        return _tell(error, wants_json, debug)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read stdout has left. Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  the boundary of the process: told in one message
        return _tell(_unexpected(error), wants_json, debug)


def dispatch(args: argparse.Namespace) -> int:
    """Run the handler of a parsed verb."""
    output = "json" if getattr(args, "json", False) else getattr(args, "output", "table")
    cli = Cli(args, Output(output))
    module, _, name = args.handler.partition(":")
    if args.verb is not None and args.verb.writes:
        cli.refuse_if_readonly(" ".join(args.verb.path))
    handler = getattr(importlib.import_module(module), name)
    given = args if args.handler.startswith(_OTHER_ROOMS) else cli
    code = handler(given)
    if inspect.iscoroutine(code):
        code = asyncio.run(code)
    sys.stdout.flush()
    return int(code or 0)


def _output_of(words: Sequence[str]) -> str | None:
    """The value of -o or --output, read before the arguments are known to hold."""
    for number, word in enumerate(words):
        if word in ("-o", "--output") and number + 1 < len(words):
            return words[number + 1]
        if word.startswith("--output="):
            return word.partition("=")[2]
        if word.startswith("-o") and not word.startswith("--"):
            return word[2:]
    return None


def _unexpected(error: Exception) -> SparkplugError:
    """An error nobody gave words to, in words. A group is as its first member."""
    if isinstance(error, ExceptionGroup):
        first = error.exceptions[0]
        return first if isinstance(first, SparkplugError) else _unexpected(first)
    if isinstance(error, TimeoutError):
        return DeadlineError(
            "the mesh did not answer in time", hint="`sparkplug doctor` looks for the reason"
        )
    if type(error).__module__.startswith("nats."):
        return NoMeshError(
            f"the server did not answer as it should: {error or type(error).__name__}",
            hint="`sparkplug doctor` looks for the reason",
        )
    return SparkplugError(
        f"{type(error).__name__}: {error}", hint="--debug shows where this came from"
    )


def _tell(error: SparkplugError, wants_json: bool, debug: bool) -> int:
    from sparkplug.schema.text import strip_controls

    if debug:
        traceback.print_exc()
    if wants_json:
        sys.stdout.write(to_json(error.as_json(), indent=2))
        sys.stdout.flush()
    else:
        print(f"sparkplug: {strip_controls(str(error))}", file=sys.stderr)
    return error.exit_code
