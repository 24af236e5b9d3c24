"""The verbs that are actions: asked back about, tried out, run, told of."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult
from sparkplug.actions.registry import look_first, refuse_if_readonly
from sparkplug.cli.context import Cli
from sparkplug.schema.errors import InvalidError, RefusedError, SparkplugError, WaitingError
from sparkplug.schema.text import strip_controls

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_MOST_STDIN_BYTES = 64 << 20


async def run_action(cli: Cli) -> int:
    """Run the action that was parsed, once for each of its subjects."""
    action: Action = cli.args.action_object
    refuse_if_readonly(action, readonly=cli.readonly)
    calls = calls_of(action, cli.args)
    if action.id == "agents.edit" and cli.args.file is None:
        from sparkplug.cli.edit import edit_in_editor

        return await edit_in_editor(cli, calls[0])
    if cli.option("dry_run", False):
        return await _preview(cli, action, calls)
    async with cli.connect() as client:
        if action.danger:
            await _ask_about(cli, client, action, calls)
        results = []
        if action.together is not None and len(calls) > 1:
            result = await action.together(client, calls)
            if cli.out.structured:
                cli.out.data(result.data)
            else:
                _tell(cli, result)
            return result.exit_code
        for arguments in calls:
            if action.confirm is not None:
                question = await action.confirm(client, **arguments)
                if question is not None:
                    ask(cli, action.title.lower(), question)
            result = await action.run(client, **arguments)
            if result.chunks is not None:
                await _stream(cli, client, result)
            elif action.id == "runs.submit" and not cli.args.detach:
                return await _follow_run(cli, client, result)
            elif action.id == "runs.submit" and not cli.out.structured:
                # The id alone is data, for `$(sparkplug run --detach ...)`.
                print(result.message, file=sys.stderr)
                print(result.data["run"])
            else:
                results.append(result)
                if not cli.out.structured:
                    _tell(cli, result)
        if results and cli.out.structured:
            data = [result.data for result in results]
            cli.out.data(data if action.many else data[0])
    return max((result.exit_code for result in results), default=0)


def calls_of(action: Action, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The arguments of each call: one, or one for each subject that was named."""
    given = {a.name: getattr(args, a.name) for a in action.arguments}
    for argument in action.arguments:
        if argument.unless and argument.needed(given) and not given[argument.name]:
            raise InvalidError(
                f"{argument.name.upper()} is missing: {argument.help}",
                hint=f"it can be left out with --{argument.unless}",
            )
    _take_stdin(action, given)
    target = action.target_argument
    if not action.many or target is None:
        return [given]
    return [{**given, target.name: name} for name in dict.fromkeys(given[target.name])]


def _take_stdin(action: Action, given: dict[str, Any]) -> None:
    """Read what stands as `-` from stdin. Raises InvalidError."""
    taken = ""
    for argument in action.arguments:
        value = given.get(argument.name) if argument.stdin else None
        if value != "-" and not (isinstance(value, list) and "-" in value):
            continue
        if taken:
            raise InvalidError(f"{taken} and {argument.name} cannot both be read from stdin")
        taken = argument.name
        text = _read_stdin()
        if argument.kind == "pairs":
            pairs = [pair for pair in given[taken] if pair != "-"]
            given[taken] = _pairs(text) + pairs
        else:
            given[taken] = text


def _pairs(text: str) -> list[str]:
    """The pairs of a JSON object."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidError(f"it is no JSON: {error}", where="stdin") from error
    if not isinstance(found, dict):
        raise InvalidError("it is no JSON object", where="stdin", hint='like {"host": "gpu-1"}')
    return [f"{key}={json.dumps(value)}" for key, value in found.items()]


def _read_stdin() -> str:
    data = sys.stdin.buffer.read(_MOST_STDIN_BYTES + 1)
    if len(data) > _MOST_STDIN_BYTES:
        raise InvalidError(f"it is larger than {_MOST_STDIN_BYTES >> 20} MiB", where="stdin")
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidError("it is not UTF-8 text", where="stdin") from error


async def _ask_about(cli: Cli, client: Client, action: Action, calls: list[dict[str, Any]]) -> None:
    """Look that it could be done, then ask whether it is to be."""
    looked = await look_first(client, action, calls)
    told = [full or action.preview(**given) for full, given in zip(looked, calls, strict=True)]
    ask(cli, action.title.lower(), "; ".join(told))


async def _preview(cli: Cli, action: Action, calls: list[dict[str, Any]]) -> int:
    """Say what would be done, having looked that it could be."""
    told = [action.preview(**arguments) for arguments in calls]
    tried: list[ActionResult] = []
    if action.check is not None or action.trial is not None:
        async with cli.connect() as client:
            looked = await look_first(client, action, calls)
            told = [full or known for full, known in zip(looked, told, strict=True)]
            if action.trial is not None:
                tried = [await action.trial(client, **arguments) for arguments in calls]
    if cli.out.structured:
        data: dict[str, Any] = {"dry_run": told}
        for result in tried:
            for key, found in result.data.items():
                data.setdefault(key, []).extend(found)
        cli.out.data(data)
    else:
        for text in [*told, *(result.message for result in tried if result.message)]:
            cli.out.text(text)
    return 0


def ask(cli: Cli, what: str, told: str) -> None:
    """Ask on a terminal whether to do `what`; elsewhere --yes has to say it.

    `told` says what it would do. Raises RefusedError when it is not to be done.
    """
    if cli.option("yes", False):
        return
    told = strip_controls(told)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(
            f"{what} asks first, and nobody can be asked here: it {told}",
            hint="--yes does it without asking",
        )
    end = "" if told.endswith("\n") else ". "
    sys.stderr.write(f"{told}{end}Do it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was done")


#: What the thing an action was about is called in its result; the first that is there names it.
_NAMED = ("agent", "run", "host", "task", "decision", "id")


def _tell(cli: Cli, result: ActionResult) -> None:
    if cli.out.format == "name":
        names = result.data if isinstance(result.data, dict) else {}
        for name in names.get("agents") or [next(filter(None, map(names.get, _NAMED)), "")]:
            cli.out.text(name)
    elif result.text:
        cli.out.text(result.text)
    elif result.exit_code == 0 and result.data is not None and "diff" in result.data:
        return  # as `diff` does: nothing to say
    else:
        cli.out.text(result.message)


async def _follow_run(cli: Cli, client: Client, result: ActionResult) -> int:
    from sparkplug.cli.runs import follow

    run = result.data["run"]
    cli.out.talk(result.message)
    try:
        return await follow(cli, client, run)
    except asyncio.CancelledError:
        cli.out.talk(
            f"the run goes on: `sparkplug runs watch {run}` follows it, "
            f"`sparkplug runs cancel {run}` ends it"
        )
        raise


async def _stream(cli: Cli, client: Client, result: ActionResult) -> None:
    """Print an answer as it comes; with --json when it is whole."""
    assert result.chunks is not None
    parts: list[str] = []
    async with contextlib.aclosing(_answered(cli, client, result)) as texts:
        async for text in texts:
            parts.append(text)
            if not cli.out.structured:
                cli.out.piece(text)
    if result.stream:
        return
    if cli.out.structured:
        cli.out.data({**result.data, "text": "".join(parts)})
    elif parts and not parts[-1].endswith("\n"):
        cli.out.piece("\n")


async def _cancel(cli: Cli, cancel: Callable[[], Awaitable[str]]) -> None:
    """End what was asked for, and say what became of it."""
    cli.out.talk("\ncancelling; Ctrl-C again leaves it as it is")
    try:
        cli.out.talk(await cancel())
    except SparkplugError as error:
        cli.out.talk(str(error))


async def _answered(cli: Cli, client: Client, result: ActionResult) -> AsyncGenerator[str, None]:
    """The text of an answer; status goes to stderr, a question to the person at the terminal.

    Without a terminal a question waits among all others for who answers it.
    """
    assert result.chunks is not None
    agent = result.data["agent"] if isinstance(result.data, dict) and "agent" in result.data else ""
    here = sys.stdin.isatty() and sys.stderr.isatty()
    try:
        async with contextlib.aclosing(result.chunks) as chunks:
            async for chunk in chunks:
                if chunk.kind == "text" and chunk.data is not None and cli.out.structured:
                    cli.out.json_line(chunk.data)
                elif chunk.kind == "text":
                    yield chunk.text
                elif chunk.kind == "status":
                    if chunk.text != "ack" and sys.stderr.isatty():
                        cli.out.talk(f"· {chunk.text}")
                elif here:
                    await chunk.reply(await _ask(cli, chunk.text))
                else:
                    await chunk.reply(await _have_answered(cli, client, chunk.text, agent))
    except asyncio.CancelledError:
        if result.cancel is not None:
            # In a task of its own: this one is cancelled. A second Ctrl-C leaves at once.
            await asyncio.create_task(_cancel(cli, result.cancel))
        raise
    except WaitingError as error:
        if not here:
            raise
        asked = error.questions[0]
        try:
            yield await _answer_here(cli, client, asked)
        except asyncio.CancelledError:
            cli.out.talk(
                f"\nquestion {asked} goes on: `sparkplug questions describe {asked}` tells of it, "
                f"`sparkplug questions withdraw {asked}` ends it"
            )
            raise


async def _have_answered(cli: Cli, client: Client, question: str, agent: str) -> str:
    from sparkplug.client import questions

    cli.out.talk(f"? {question}\n  `sparkplug questions list` shows it; it waits for an answer")
    return await questions.hold(client, question, agent)


async def _answer_here(cli: Cli, client: Client, asked: str) -> str:
    """Ask the person at the terminal what the agent asks people, and wait for what comes of it."""
    from sparkplug.client import questions

    while asked:
        question = await questions.describe(client, asked)
        if question.waits:
            words = " / ".join(
                question.options or (["approve", "reject"] * (question.kind == "approve"))
            )
            try:
                told = await _ask(cli, f"{question.text} {f'({words})' if words else ''}".rstrip())
                await questions.answer(client, asked, told)
            except InvalidError as wrong:
                cli.out.talk(str(wrong))
                continue
        text, asked = await questions.step(client, asked)
    return text


async def _ask(cli: Cli, question: str) -> str:
    cli.out.talk(f"? {question}")
    typed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()  # a terminal gives whole lines
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip()
