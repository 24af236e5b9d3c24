"""The names of settings, and their values as text and as files have them."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.problems import KeyPath, did_you_mean, keys_at, path_text
from sparkplug.schema.settings import SettingsDocument


def key_path(key: str) -> KeyPath:
    """`section.key` or `section.table.entry` as a path; InvalidError when it names no setting."""
    section, _, rest = key.partition(".")
    name, _, entry = rest.partition(".")
    if (section, name) not in all_keys() or (entry and not is_table(section, name)):
        near = did_you_mean(key, [f"{a}.{b}" for a, b in all_keys()])
        raise InvalidError(f"no setting {key}{near}", hint="`sparkplug config show` lists them all")
    inner = entry_kind(section, name)
    outer, _, last = entry.rpartition(".")
    if inner is not None and outer and last in inner.model_fields:
        return (section, name, outer, last)
    return (section, name, entry) if entry else (section, name)


def entry_kind(section: str, name: str) -> type[BaseModel] | None:
    """What the entries of a table are, where they have keys of their own."""
    annotation = SettingsDocument.model_fields[section].annotation
    assert annotation is not None
    kinds = get_args(annotation.model_fields[name].annotation)
    found = kinds[-1] if kinds else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def plain(value: Any) -> Any:
    """A value as files and `--json` have it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return value


def all_keys() -> list[tuple[str, str]]:
    sections = SettingsDocument.model_fields
    return [(section, key) for section in sections for key in keys_at(SettingsDocument, (section,))]


def is_table(section: str, key: str) -> bool:
    return isinstance(getattr(getattr(SettingsDocument(), section), key), dict)


def from_text(path: KeyPath, text: str) -> Any:
    """A value of the setting's own type from the text of a variable, a flag or an argument."""
    if len(path) > 3:
        inner = entry_kind(str(path[0]), str(path[1]))
        listed = inner is not None and get_origin(inner.model_fields[str(path[3])].annotation)
        return [part.strip() for part in text.split(",")] if listed is list else text
    if len(path) > 2:
        inner = entry_kind(str(path[0]), str(path[1]))
        if inner is not None:
            last = str(path[2]).rpartition(".")[2]
            near = did_you_mean(last, inner.model_fields)
            hint = f"its keys: {', '.join(inner.model_fields)}"
            raise InvalidError(f"no setting {path_text(path)}{near}", hint=hint)
        return text
    section, key = path
    default = getattr(getattr(SettingsDocument(), str(section)), str(key))
    if isinstance(default, bool):
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        if text.strip().lower() not in words:
            raise InvalidError(f"{path_text(path)}: expected true or false")
        return words[text.strip().lower()]
    if isinstance(default, int | float) and re.fullmatch(r"-?\d{1,18}", text.strip()):
        return int(text)
    if isinstance(default, dict):
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            raise InvalidError(f"{path_text(path)}: expected name=value,name=value")
        return {name.strip(): value.strip() for name, _, value in pairs}
    return text
