"""The command line as it is parsed."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator

import pytest

from sparkplug.__main__ import centre_options
from sparkplug.actions.registry import ACTIONS
from sparkplug.cli.parser import build_parser
from sparkplug.cli.verbs import VERBS
from sparkplug.schema.errors import InvalidError


def test_global_flags_stand_before_or_after_the_verb() -> None:
    for words in (
        ["--json", "--url", "nats://h:1", "agents", "list"],
        ["agents", "list", "--json", "--url", "nats://h:1"],
        ["--json", "agents", "list", "--url", "nats://h:1"],
    ):
        args = build_parser().parse_args(words)
        assert args.json
        assert args.url == "nats://h:1"
        assert not hasattr(args, "readonly")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stauts"], "no verb stauts, did you mean status?"),
        (["agents", "lst"], "no verb lst, did you mean list?"),
        (["agents", "scale", "a", "many"], "invalid int value: 'many'"),
        (["agents", "start"], "AGENT"),
        (["events", "--since", "soon"], "a duration is a number with a unit"),
        (["status", "--nonsense"], "--nonsense"),
        (["schema", "cat"], "cat"),
        (["-o", "xml", "status"], "xml"),
    ],
)
def test_wrong_usage_is_told_in_words(words: list[str], message: str) -> None:
    with pytest.raises(InvalidError, match=message.replace("?", r"\?")):
        build_parser().parse_args(words)


def test_durations_are_read_as_seconds() -> None:
    args = build_parser().parse_args(["agents", "start", "a", "b", "--timeout", "1m30s"])
    assert (args.agent, args.timeout, args.no_wait) == (["a", "b"], 90.0, False)


def test_a_prompt_has_its_arguments() -> None:
    words = ["prompt", "scribe", "hello", "--file", "a", "--file", "b", "--input", "x=1"]
    args = build_parser().parse_args(words)
    assert (args.agent, args.text, args.files, args.inputs) == (
        "scribe",
        "hello",
        ["a", "b"],
        ["x=1"],
    )
    assert args.action_object is ACTIONS["agents.prompt"]


def _leaves(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for group in below:
        for name, child in group.choices.items():
            yield from _leaves(child, (*path, name))
    if not below or (path and parser.get_default("handler")):
        yield path, parser


def test_every_action_and_every_verb_is_there_once_with_a_handler() -> None:
    leaves = dict(_leaves(build_parser()))
    declared = [verb.path for verb in VERBS] + [action.verb for action in ACTIONS.values()]
    # It writes to stdout, too, which no action does.
    declared.remove(("memory", "export"))
    assert sorted(leaves) == sorted(declared)
    for path, parser in leaves.items():
        module, _, name = parser.get_default("handler").partition(":")
        assert parser.description, path
        if module != "sparkplug.demo":
            assert callable(getattr(importlib.import_module(module), name)), path


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--readonly", "--theme", "daylight"], {"readonly": True, "theme": "daylight"}),
        (["--pane=hosts", "--url=nats://h:1"], {"pane": "hosts", "url": "nats://h:1"}),
        (["status"], None),
        (["--url", "nats://h:1", "status"], None),
        (["--help"], None),
        (["--json"], None),
        (["--theme"], None),
    ],
)
def test_when_the_control_centre_opens(
    words: list[str], options: dict[str, str | bool] | None
) -> None:
    assert centre_options(words) == options


def test_a_word_after_hosts_is_a_verb_or_a_filter() -> None:
    parse = build_parser(["hosts"]).parse_args
    assert parse(["hosts"]).filter == ""
    args = parse(["hosts", "-l", "zone=lab", "gpu.*", "--watch", "--json"])
    assert (args.filter, args.label, args.watch, args.json) == ("gpu.*", ["zone=lab"], True, True)
    assert args.verb.path == ("hosts",)
    args = parse(["hosts", "cordon", "gpu-1", "gpu-2", "--reason", "disk"])
    assert args.action_object is ACTIONS["hosts.cordon"]
    assert (args.host, args.reason) == (["gpu-1", "gpu-2"], "disk")
    with pytest.raises(InvalidError, match="gpu-1"):
        parse(["hosts", "drian", "gpu-1"])


def test_a_word_that_is_none_of_those_there_are_is_told_with_them() -> None:
    with pytest.raises(InvalidError, match="silly is none of urgent, high, normal, low"):
        build_parser().parse_args(["tasks", "submit", "write", "x", "--priority", "silly"])
