"""Agent and plan files: what holds, and what is said about what does not, and where."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.documents import (
    document_schema,
    load_agents,
    load_document,
    parse_document,
)
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import Plan
from sparkplug.schema.textfile import MAX_BYTES
from sparkplug.schema.yaml_source import MAX_VALUES, read_yaml

AGENT = "name: {name}\nentrypoint: pkg.mod:handle\n"

WRONG_AGENT = """\
name: Bad Name
entrypont: x:y
replicas: many
resources: {gpus: 1.5, memory: lots}
placement: {hosts: 3}
restart: {policy: allways}
memory:
env: {A: [1], PORT: 8080}
"""

WRONG_AGENT_PROBLEMS = """\
a.yaml:1:1: entrypoint is missing
a.yaml:1:7: name: does not have the form ^[a-z0-9][a-z0-9-]{0,62}$
a.yaml:2:1: unknown key entrypont, did you mean entrypoint?
a.yaml:3:11: replicas: expected a whole number, got text
a.yaml:4:19: resources.gpus: expected a whole number, got the number 1.5
a.yaml:4:32: resources.memory: a size is a number with a unit, like 16GiB or 500MB
a.yaml:5:20: placement.hosts: expected text or a list, got the number 3
a.yaml:6:19: restart.policy: expected always or on-failure or never, did you mean always?
a.yaml:7:1: memory: expected keys with values, got nothing
a.yaml:8:10: env.A: expected text, got a list"""


def refusal(text: str, model: type[AgentSpec] | type[Plan] = AgentSpec) -> str:
    with pytest.raises(InvalidError) as caught:
        parse_document(text, model, "a.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_every_problem_is_told_once_with_its_place() -> None:
    assert refusal(WRONG_AGENT) == WRONG_AGENT_PROBLEMS


def test_where_is_the_first_place() -> None:
    with pytest.raises(InvalidError) as caught:
        parse_document(WRONG_AGENT, AgentSpec, "a.yaml")
    assert caught.value.where == "a.yaml:1:1"
    assert len(caught.value.message.splitlines()) == len(WRONG_AGENT_PROBLEMS.splitlines())


def test_a_whole_agent() -> None:
    spec = parse_document(
        "name: a1\nentrypoint: m:f\nresources: {gpus: 1, gpu_memory: 16GiB}\n"
        "restart: {within: 10m, backoff: 250ms}\nenv: {PORT: 8080}\n",
        AgentSpec,
    )
    assert spec.resources.gpu_memory == 16 << 30
    assert (spec.restart.within, spec.restart.backoff) == (600.0, 0.25)
    assert spec.env == {"PORT": "8080"}


def test_on_stays_a_key_and_yes_stays_text() -> None:
    plan = parse_document(
        "name: p\nsteps:\n- id: a\n  agent: x\n  prompt: yes\n  retry: {max: 1, on: [error]}\n",
        Plan,
    )
    assert plan.steps[0].retry.on == ["error"]
    assert plan.steps[0].prompt == "yes"


def test_core_schema_scalars() -> None:
    text = "[~, null, '', true, False, no, 12, -3, 0o17, 0x1F, 1.5, .5, 1e3, -.inf, 0b1, 1_000]"
    assert read_yaml(text, "t").value == [
        *(None, None, "", True, False, "no", 12, -3, 15, 31),
        *(1.5, 0.5, 1000.0, float("-inf"), "0b1", "1_000"),
    ]


def test_an_alias_gives_the_value_of_its_anchor() -> None:
    assert read_yaml("a: &x {k: 1}\nb: *x\n", "t").value == {"a": {"k": 1}, "b": {"k": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a.yaml:1:1: the file is empty"),
        ("# only words\n", "a.yaml:1:1: the file is empty"),
        ("- 1\n", "a.yaml:1:1: expected keys with values at the top"),
        ("name: a\nname: b\n", "a.yaml:2:1: name stands here twice, first on line 1"),
        ("name: a\n---\nname: b\n", "a.yaml:2:1: a second document (after ---)"),
        ("name: [\n", "a.yaml:2:1: not valid YAML: "),
        ("a: b: c\n", "a.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        ("a: 1\nb:\n\t- 2\n", "a.yaml:3:1: not valid YAML: "),
        ("a: 1\nb: \x07\n", "a.yaml:2:4: not valid YAML: a character that no text holds"),
        ("a: !!python/object:os.system x\n", "a.yaml:1:4: the tag "),
        ("? [a]\n: 1\n", "a.yaml:1:3: a key must be plain text"),
        ("a: &a {k: 1}\nb: {<<: *a}\n", "a.yaml:2:5: merge keys (<<) are not YAML 1.2"),
        ("a: &x [*x]\n", "a.yaml:1:8: alias *x stands before its anchor is complete"),
        ("name: " + "9" * 70, "a.yaml:1:7: a number is too large"),
        ("[" * 5000, "a.yaml:1:65: nested more than 64 deep"),
        ("a:\n" + "- x\n" * (MAX_VALUES + 1), f"more than {MAX_VALUES} values"),
    ],
)
def test_what_is_no_document(text: str, said: str) -> None:
    assert said in refusal(text)


def test_an_alias_bomb_is_refused_at_once() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases counted in full" in refusal("\n".join(levels))


def test_a_place_inside_an_alias_is_that_of_the_alias() -> None:
    text = (
        "name: p\nsteps:\n- {id: a, agent: x, prompt: q, retry: &r {max: 1}}\n"
        "- {id: b, agent: x, prompt: q, timeout: *r}\n"
    )
    assert refusal(text, Plan) == (
        "a.yaml:4:41: steps[1].timeout: expected a number, got keys with values"
    )


def test_a_problem_of_a_step_as_a_whole_stands_at_the_step() -> None:
    text = "name: p\nsteps:\n  - id: a\n    prompt: q\n"
    said = "a step names an agent or a capability, and only one of them"
    assert refusal(text, Plan) == f"a.yaml:3:5: steps[0]: {said}"


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + AGENT.format(name="bom").encode())
    assert load_document(file, AgentSpec).name == "bom"
    file.write_bytes(b"name: ok\n# caf\xe9\n")
    with pytest.raises(InvalidError, match=re.escape(f"{file}:2:6: not UTF-8 text")):
        load_document(file, AgentSpec)
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InvalidError, match="larger than 1024 KiB"):
        load_document(file, AgentSpec)
    with pytest.raises(NotFoundError, match="no such file"):
        load_document(tmp_path / "none.yaml", AgentSpec)
    with pytest.raises(InvalidError, match="not a file"):
        load_document(tmp_path, AgentSpec)
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(InvalidError, match="not a file"):
        load_document(pipe, AgentSpec)


def test_text_that_is_too_large() -> None:
    assert refusal("#" * (MAX_BYTES + 1)) == "a.yaml: larger than 1024 KiB"


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        (".venv/bin/python", "{folder}/.venv/bin/python"),
        ("/opt/venv/bin/python", "/opt/venv/bin/python"),
        ("python3.12", "python3.12"),
    ],
)
def test_an_interpreter_is_beside_the_file(tmp_path: Path, written: str, taken: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(AGENT.format(name="a") + f"python: {written}\n")
    assert load_document(file, AgentSpec).python == taken.format(folder=tmp_path)


def test_the_link_of_a_virtual_environment_is_kept(tmp_path: Path) -> None:
    link = tmp_path / "bin" / "python"
    link.parent.mkdir()
    link.symlink_to("/usr/bin/env")
    file = tmp_path / "a.yaml"
    file.write_text(AGENT.format(name="a") + "python: bin/python\n")
    assert load_document(file, AgentSpec).python == str(link)


def test_a_folder_of_agents_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text(AGENT.format(name=name))
    (tmp_path / "c.yml").write_text(AGENT.format(name="c"))
    (tmp_path / ".hidden.yaml").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    assert [(path.name, spec.name) for path, spec in load_agents(tmp_path)] == [
        ("a.yaml", "a"),
        ("b.yaml", "b"),
        ("c.yml", "c"),
    ]


def test_a_folder_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(AGENT.format(name="same"))
    (tmp_path / "b.yaml").write_text("name: b\n")
    (tmp_path / "c.yaml").write_text(AGENT.format(name="same"))
    (tmp_path / "d.yaml").write_bytes(b"\xff")
    with pytest.raises(InvalidError) as caught:
        load_agents(tmp_path)
    lines = [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]
    assert lines == [
        "b.yaml:1:1: entrypoint is missing",
        f"c.yaml:1:7: the name same is already taken at {tmp_path}/a.yaml:1:7",
        "d.yaml:1:1: not UTF-8 text",
        "  nothing was taken from this folder",
    ]


def test_a_folder_without_agents(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no \*\.yaml"):
        load_agents(tmp_path)


@pytest.mark.parametrize("kind", ["agent", "crew", "plan"])
def test_schema_for_editors(kind: str) -> None:
    schema = document_schema(kind)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == f"SparkPlug {kind}"
    assert schema["description"]
    text = json.dumps(schema)
    assert '"$id"' not in text
    assert not re.search(r'"(ge|gt|le|lt)": ', text)


def test_schema_takes_quantities_as_text_and_number() -> None:
    memory = document_schema("agent")["$defs"]["Resources"]["properties"]["gpu_memory"]
    number, text = memory["anyOf"]
    assert (number["type"], text["type"]) == ("integer", "string")
    assert re.search(text["pattern"], "16GiB")
    assert re.search(text["pattern"], "500MB")
    assert not re.search(text["pattern"], "a lot")
    timeout = document_schema("plan")["properties"]["timeout"]["anyOf"][1]
    assert re.search(timeout["pattern"], "1h30m")
    assert not re.search(timeout["pattern"], "soon")


def test_no_schema_of_that_name() -> None:
    with pytest.raises(NotFoundError, match="agent, crew, plan"):
        document_schema("garden")


CREW = """\
agents:
  one: {role: One, goal: g, backstory: b}
tasks:
  do: {description: "on {what}", expected_output: e, agent: one}
"""


def test_a_crew_file_is_an_agent_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "my-team.yaml"
    path.write_text(CREW)
    ((_, spec),) = load_agents(path)
    assert (spec.name, spec.runtime, spec.entrypoint) == ("my-team", "crewai", "my-team.yaml")
    ((_, spec),) = load_agents(tmp_path)
    assert spec.crew_file == "my-team.yaml"


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        (("agent: one", "agent: two"), "", "tasks.do.agent two is none of agents: one"),
        (("role: One", "rule: One"), "2:8", "unknown key rule in agents.one, did you mean role?"),
        (("agent: one", "agent: one, context: [do]"), "", "names do, which comes later"),
        (("agents:", "process: hierarchical\nmanager: one\nagents:"), "", "one is the manager"),
    ],
)
def test_what_is_wrong_with_a_crew_file_is_told_where(
    tmp_path: Path, change: tuple[str, str], place: str, said: str
) -> None:
    (tmp_path / "crews").mkdir()
    (tmp_path / "crews/team.yml").write_text(CREW.replace(*change))
    (tmp_path / "agent.yaml").write_text("name: a\nruntime: crewai\nentrypoint: crews/team.yml\n")
    with pytest.raises(InvalidError, match=said) as told:
        load_agents(tmp_path / "agent.yaml")
    assert told.value.where is not None
    assert f"crews/team.yml:{place}" in told.value.where


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("runtime: python", "needs runtime: crewai"),
        ("runtime: crewai\nisolation: shared", "ended with its process"),
    ],
)
def test_a_crew_has_a_process_of_its_own(tmp_path: Path, more: str, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"name: a\nentrypoint: team.yaml\n{more}\n")
    with pytest.raises(InvalidError, match=said):
        load_agents(path)
