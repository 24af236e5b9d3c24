"""The documentation says what the code has: names, defaults, keys, links, examples that hold."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter

from fakes.shipped import shipped_module
from sparkplug.actions.registry import ACTIONS
from sparkplug.agents.context import Context
from sparkplug.agents.patterns import Patterns
from sparkplug.cli.completion import read_words
from sparkplug.cli.parser import build_parser
from sparkplug.node.permissions import agent_permissions, scoped_template
from sparkplug.schema.agent import AgentState
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.crew import CrewFile
from sparkplug.schema.documents import parse_document
from sparkplug.schema.errors import ERRORS
from sparkplug.schema.host import DriverState, Gpu, Process
from sparkplug.schema.plan import Plan, PlanInput, Retry, Step
from sparkplug.schema.plan_check import parse_plan
from sparkplug.schema.run import RunState, StepState
from sparkplug.schema.settings import SettingsDocument
from sparkplug.tui.commands import PANES
from sparkplug.tui.keymap import read_keymap
from sparkplug.tui.themes import COLORS, read_theme

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_EMITTED = re.compile(r'"((?:agent|decision|gpu|host|plan|question|step|task):[a-z]+)"')
#: Plans in the pages that are shown because they do not hold.
_BROKEN = frozenset({"broken.plan.yml", "broken-team.yaml"})


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def fences(language: str) -> Iterator[tuple[str, str, str]]:
    """Every block of a language: where it stands, the words after the language, its text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                yield f"{page.name}:{line}", match[2].strip(), match[3]


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables by the name in backticks in their first cell; the other cells."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        match = re.match(r"`([^`]+)`", cells[0])
        if line.startswith("|") and match:
            found[match[1]] = cells[1:]
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def fields_of(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every field as `a.b` with its default; models inside are gone into."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields_of(inner, f"{before}{name}.")
        else:
            required = field.is_required()
            yield (
                f"{before}{name}",
                ... if required else field.get_default(call_default_factory=True),
            )


def means(model: type[BaseModel], dotted: str, cell: str) -> Any:
    """What a default written in a page gives, read as that field of the model reads it."""
    from ruamel.yaml import YAML

    match = re.fullmatch(r"`([^`]*)`", cell)
    if match is None:
        return {"empty": "", "none": None}.get(cell, cell)
    *path, name = dotted.split(".")
    for part in path:
        inner = model.model_fields[part].annotation
        assert isinstance(inner, type) and issubclass(inner, BaseModel)
        model = inner
    field = model.model_fields[name]
    kind: Any = TypeAdapter(Annotated[field.annotation, *(field.metadata or [None])])
    return kind.validate_python(YAML(typ="safe").load(match[1]))


# Links and examples


def test_every_page_is_in_the_index() -> None:
    linked = set(_LINK.findall(text_of("index.md")))
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_yaml_examples_hold() -> None:
    count = 0
    for where, name, text in fences("yaml"):
        count += 1
        if name in _BROKEN:
            continue
        if re.search(r"^steps:", text, re.MULTILINE):
            parse_plan(text, None, where)
        elif re.search(r"^tasks:", text, re.MULTILINE):
            parse_document(text, CrewFile, where)
        else:
            parse_document(text, AgentSpec, where)
    assert count > 8


def test_toml_examples_hold(tmp_path: Path) -> None:
    for _, _, text in fences("toml"):
        if "[colors]" in text:
            (tmp_path / "theme.toml").write_text(text)
            assert set(tomllib.loads(text)["colors"]) == set(COLORS)
            read_theme(tmp_path / "theme.toml")
        else:
            SettingsDocument.model_validate(tomllib.loads(text))


def test_python_and_json_examples_are_valid() -> None:
    for where, _, text in fences("python"):
        compile(text, where, "exec")
    for _, _, text in fences("json"):
        json.loads(text)


def test_nothing_is_promised_elsewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"\b(TODO|FIXME|TBD|coming soon)\b", text), page.name


# What there is


def test_every_key_of_a_crew_file_is_documented() -> None:
    found = rows(text_of("crewai.md"))
    for name, field in CrewFile.model_fields.items():
        cell = found[name][0]
        if field.is_required():
            assert cell == "required", name
        elif cell not in ("none", "empty"):
            assert means(CrewFile, name, cell) == field.get_default(), name


def test_every_verb_is_documented() -> None:
    page = text_of("cli.md")
    for words in read_words(build_parser()):
        if not words.path or words.path in _groups():
            continue
        spelled = " ".join(words.path)
        assert f"`sparkplug {spelled}" in page or f"sparkplug {spelled} " in page, spelled


def _groups() -> set[tuple[str, ...]]:
    return {words.path[:1] for words in read_words(build_parser()) if len(words.path) > 1}


def test_every_flag_is_documented() -> None:
    page = text_of("cli.md") + text_of("agents.md")
    flags = {flag for words in read_words(build_parser()) for flag in words.flags}
    missing = sorted(flag for flag in flags - {"--help"} if not re.search(rf"{flag}\b", page))
    assert missing in ([], ["--label", "--lines", "--output", "--rows"]), missing
    for short in ("-l key=value", "-n LINES", "-o FORMAT", "`-n`"):
        assert short in page


def test_every_setting_is_documented_with_its_built_in_value() -> None:
    table = rows(text_of("configuration.md"))
    assert table.pop("node.name")[0] == "the host's name"
    settings = dict(fields_of(SettingsDocument))
    del settings["node.name"]
    assert set(settings) == {name for name in table if name in settings or _is_setting(name)}
    for name, default in settings.items():
        told = means(SettingsDocument, name, table[name][0])
        assert (told or None) == (default or None) or told == default, f"{name}: {told!r}"


def _is_setting(name: str) -> bool:
    return name.partition(".")[0] in SettingsDocument.model_fields and "." in name


def test_every_field_of_an_agent_is_documented_with_its_default() -> None:
    _compare(AgentSpec, rows(text_of("agents.md")))


def test_every_field_of_a_plan_is_documented_with_its_default() -> None:
    page = text_of("plans.md")
    plan, _, step = page.partition("\nA step:\n")
    _compare(Plan, rows(plan))
    _compare(Step, rows(step))
    assert set(Retry.model_fields) <= {name.partition(".")[2] for name in rows(step)}
    for name in PlanInput.model_fields:
        assert f"`{name}`" in rows(plan)["inputs"][1]


def _compare(model: type[BaseModel], table: dict[str, list[str]]) -> None:
    for name, default in fields_of(model):
        assert name in table, f"{model.__name__}.{name} is not documented"
        cell = table[name][0]
        if default is ...:
            assert cell == "required", name
        elif cell.startswith("`"):
            assert means(model, name, cell) == default, f"{name}: {cell}, it is {default!r}"
        else:
            assert not default, f"{name}: {cell}, it is {default!r}"


def test_words_of_state_are_documented() -> None:
    agents, plans, telemetry = (text_of(n) for n in ("agents.md", "plans.md", "telemetry.md"))
    assert all(f"`{state}`" in agents for state in AgentState)
    assert all(f"`{state}`" in plans for state in (*RunState, *StepState))
    assert all(f"`{state}`" in telemetry for state in DriverState)


def test_every_error_code_and_exit_code_is_documented() -> None:
    page = text_of("cli.md")
    codes = set(re.findall(r"^\| (\d+) \|", page, re.MULTILINE))
    for code, kind in ERRORS.items():
        assert f"`{code}`" in page
        assert str(kind.exit_code) in codes


def test_every_event_is_documented_and_no_other() -> None:
    emitted = {
        name
        for path in (ROOT / "sparkplug").rglob("*.py")
        for name in _EMITTED.findall(path.read_text(encoding="utf-8"))
    }
    section = text_of("cli.md").partition("## What happened")[2].partition("```")[0]
    assert set(re.findall(r"`([a-z]+:[a-z]+)`", section)) == emitted


def test_all_that_ctx_offers_is_documented() -> None:
    page = text_of("agents.md")
    tree = ast.parse(Path(sys.modules[Context.__module__].__file__ or "").read_text())
    made = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Context")
    kept = {
        node.attr
        for node in ast.walk(made)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    for name in {*kept, *vars(Context)}:
        if not name.startswith("_"):
            assert f"ctx.{name}" in page, name
    told = page + text_of("messages.md")
    assert all(f"ctx.{name}" in told for name in vars(Patterns) if not name.startswith("_"))


def test_every_pane_has_a_page_and_every_key_of_an_action_is_on_one() -> None:
    pages = {
        "overview": "overview.md",
        "hosts": "hosts.md",
        "agents": "agents-pane.md",
        "memory": "memory.md",
        "workflows": "workflows.md",
        "topology": "topology.md",
        "tasks": "tasks.md",
    }
    assert set(pages) == set(PANES)
    for pane, key in PANES.items():
        assert f"`{key}`" in text_of(pages[pane])
    told = "".join(map(text_of, pages.values()))
    for action in ACTIONS.values():
        if action.key:
            assert f"`{action.key}`" in told, action.id
        if action.key and action.target == "agent":
            row = rows(text_of("agents-pane.md"))[action.key]
            assert (row[1] == "yes") is action.danger, action.id


def test_ids_of_the_keymap_are_documented() -> None:
    page = text_of("look-and-keys.md")
    assert all(f"`{name}`" in page for name in read_keymap({}).keys)


def test_the_permissions_of_an_agent_are_these() -> None:
    allowed = agent_permissions("A", "O", "R")
    told = {name: text.splitlines() for _, name, text in fences("text") if name}
    assert told["permissions publish"] == list(allowed.publish)
    assert told["permissions subscribe"] == list(allowed.subscribe)


def test_the_template_of_a_scoped_signing_key_is_this() -> None:
    allowed = scoped_template()
    told = {name: text.splitlines() for _, name, text in fences("text") if name}
    assert told["template publish"] == list(allowed.publish)
    assert told["template subscribe"] == list(allowed.subscribe)


def test_every_scenario_is_documented() -> None:
    table = rows(text_of("telemetry.md"))
    for path in (ROOT / "config" / "scenarios").glob("*.scenario"):
        assert path.stem in table


def test_every_rule_of_sentinel_is_documented_with_its_limits() -> None:
    page = text_of("sentinel.md")
    table = rows(page)
    folder = ROOT / "config" / "agents" / "sentinel"
    named = {
        rule
        for path in folder.glob("*.py")
        for rule in re.findall(r'rule="([a-z.-]+)"', path.read_text(encoding="utf-8"))
    }
    assert {name for name in table if "." in name} == named
    for module in ("host_memory", "host_load", "gpu_health"):
        for name, value in _limits(shipped_module(f"sentinel.{module}")):
            text = f"{value // (1 << 20)} MiB" if name.endswith("_BYTES") else f"{value:g}"
            assert re.search(rf"(?<![\d.]){re.escape(text)}(?![\d])", page), f"{name} = {value}"
    assert f"by {len(named)} stated rules" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _limits(module: ModuleType) -> Iterator[tuple[str, float]]:
    for name, value in vars(module).items():
        counts = name.isupper() and name not in ("GIB", "MIB", "NAMED")
        if counts and not name.startswith("_") and isinstance(value, int | float):
            yield name, value


def test_the_gpu_of_the_json_example_is_whole() -> None:
    example = next(text for _, words, text in fences("json") if words == "hosts --json")
    (gpu,) = json.loads(example)[0]["gpus"]
    assert set(gpu) == set(Gpu.model_fields) - {"v"}


def test_the_processes_of_top_are_told_whole() -> None:
    line = next(line for line in text_of("cli.md").splitlines() if line.startswith("`top --json`"))
    told = set(re.findall(r"`(\w+)`", line)) - {"processes"}
    assert told == set(Process.model_fields) - {"v"}
