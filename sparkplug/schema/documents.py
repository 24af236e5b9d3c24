"""Agent and plan files: read, validated, every problem told with file:line:column."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.base import Document
from sparkplug.schema.crew import CrewFile
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import Plan
from sparkplug.schema.problems import Problem, invalid, validate
from sparkplug.schema.textfile import MAX_BYTES, read_text, storage_error
from sparkplug.schema.units import parse_bytes, parse_seconds
from sparkplug.schema.yaml_source import Source, read_yaml

Kind = TypeVar("Kind", bound=Document)

#: The files people write, by the word the CLI uses for them.
DOCUMENTS: dict[str, type[Document]] = {"agent": AgentSpec, "crew": CrewFile, "plan": Plan}

#: The texts that `Bytes` and `Seconds` take, for editors.
_QUANTITIES: dict[Any, str] = {
    parse_bytes: r"^\s*\d+(\.\d+)?\s*([kKmMgGtT]?[bB]?|[kKmMgGtT][iI][bB]?)\s*$",
    parse_seconds: r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?(ms|s|m|h|d))+)\s*$",
}

_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}


def parse_document(text: str, model: type[Kind], name: str = "<stdin>") -> Kind:
    """The document in the YAML `text`; `name` stands for its file in errors.

    Relative interpreters stay as written. Raises InvalidError that lists every problem.
    """
    document, source = examine(text, model, name)
    if document is None:
        raise invalid(source.problems)
    return document


def load_document(path: Path, model: type[Kind]) -> Kind:
    """The document in a YAML file of at most 1 MiB.

    An agent's relative `python` is taken from the folder of its file. Raises InvalidError that
    lists every problem, NotFoundError, or RefusedError when the file may not be read.
    """
    document = parse_document(_text(path), model, str(path))
    return beside(document, path)


def load_agents(path: Path) -> list[tuple[Path, AgentSpec]]:
    """The agents of a file, or of all `*.yaml` and `*.yml` of a folder in order of name.

    A crew file is an agent by itself. All or nothing: the problems of all files are reported
    together, those of crew files that they name and a name that two give among them. Raises as
    `load_document` does.
    """
    if not path.is_dir():
        spec, source = _examine_agent(_text(path), path)
        if spec is None or source.problems:
            raise invalid(source.problems)
        return [(path, beside(spec, path))]
    found: list[tuple[Path, AgentSpec]] = []
    problems: list[Problem] = []
    names: dict[str, str] = {}
    for file in _files(path):
        try:
            text = _text(file)
        except InvalidError as error:
            problems.append(Problem(error.where or str(file), error.message))
            continue
        spec, source = _examine_agent(text, file)
        problems.extend(source.problems)
        if spec is None:
            continue
        place = source.place(("name",))
        if spec.name in names:
            message = f"the name {spec.name} is already taken at {names[spec.name]}"
            problems.append(Problem(place, message))
        names.setdefault(spec.name, place)
        found.append((file, beside(spec, file)))
    if problems:
        raise invalid(problems, hint="nothing was taken from this folder")
    return found


def _examine_agent(text: str, file: Path) -> tuple[AgentSpec | None, Source]:
    """The agent of an agent file or a crew file, and what is wrong with either."""
    value = read_yaml(text, str(file)).value if len(text) <= MAX_BYTES else None
    if isinstance(value, dict) and "tasks" in value and "runtime" not in value:
        crew, source = examine(text, CrewFile, str(file))
        if crew is None:
            return None, source
        made = {"name": crew.name or file.stem, "runtime": "crewai", "entrypoint": file.name}
        found = validate(AgentSpec, made | {"description": crew.description})
        if isinstance(found, list):
            place = source.place(("name",))
            source.problems += [Problem(place, finding.message) for finding in found]
            return None, source
        return found, source
    spec, source = examine(text, AgentSpec, str(file))
    if spec is not None and spec.crew_file:
        named = file.parent / spec.crew_file
        if named.is_file():
            source.problems += examine(_text(named), CrewFile, str(named))[1].problems
    return spec, source


def examine(text: str, model: type[Kind], name: str) -> tuple[Kind | None, Source]:
    """The document if it holds, else None; the source has its places and problems."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        return None, Source(name, problems=[Problem(name, f"larger than {MAX_BYTES >> 10} KiB")])
    source = read_yaml(text, name)
    if source.problems:
        return None, source
    if source.value is None:
        source.add((1, 1), "the file is empty")
        return None, source
    if not isinstance(source.value, dict):
        source.problems.append(Problem(source.place(()), "expected keys with values at the top"))
        return None, source
    result = validate(model, source.value)
    if not isinstance(result, list):
        return result, source
    for finding in sorted(result, key=lambda found: source.order(found.path, key=found.at_key)):
        place = source.place(finding.path, key=finding.at_key)
        source.problems.append(Problem(place, finding.message))
    return None, source


def document_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a kind of file, for editors. NotFoundError for other words."""
    if kind not in DOCUMENTS:
        known = ", ".join(DOCUMENTS)
        raise NotFoundError(f"no schema {kind}", hint=f"there are: {known}")
    schema = DOCUMENTS[kind].model_json_schema(schema_generator=_EditorSchema)
    if "$ref" in schema:  # of a model that can hold others of its kind
        schema = {**schema["$defs"][schema["$ref"].rsplit("/", 1)[-1]], "$defs": schema["$defs"]}
    schema["title"] = f"SparkPlug {kind}"
    return {"$schema": GenerateJsonSchema.schema_dialect, **_standard(schema)}


class _EditorSchema(GenerateJsonSchema):
    """A schema of what may be written: sizes and durations also as text, like 16GiB or 30s."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        pattern = _QUANTITIES.get(schema["function"]["function"])
        if pattern is None:
            return inner
        return {"anyOf": [inner, {"type": "string", "pattern": pattern}]}


def _standard(schema: Any) -> Any:
    """Bounds of a quantity under their JSON Schema names: pydantic leaves them as its own."""
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        _BOUNDS.get(key, key) if isinstance(value, int | float) else key: _standard(value)
        for key, value in schema.items()
    }


def _text(path: Path) -> str:
    text = read_text(path)
    if text is None:
        raise NotFoundError("no such file", where=str(path))
    return text


def _files(folder: Path) -> list[Path]:
    try:
        files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise storage_error(error, "cannot read the folder", folder) from error
    files = [p for p in files if p.suffix in (".yaml", ".yml")]
    if not files:
        raise NotFoundError("no *.yaml in this folder", where=str(folder))
    return files


def beside(document: Kind, path: Path) -> Kind:
    """The document with its interpreter named absolutely; links stay, they are what a venv is."""
    if not isinstance(document, AgentSpec) or not document.python:
        return document
    interpreter = Path(document.python).expanduser()
    if "/" not in document.python:  # a bare command, found on PATH
        return document
    absolute = Path.absolute(path.parent / interpreter)
    return document.model_copy(update={"python": str(absolute)})
