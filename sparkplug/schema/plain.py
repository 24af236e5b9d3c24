"""Records as faces print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What only prints need not import it before there is something to print.
    from pydantic import BaseModel


def plain(
    record: BaseModel,
    *,
    exclude: Any = None,
    by_alias: bool = False,
    exclude_defaults: bool = False,
) -> dict[str, Any]:
    """A record as JSON for people and scripts: without the versions of it and of those in it.

    The rest is as in `model_dump`. What is data of users and happens to be called `v` stays.
    """
    data = record.model_dump(
        mode="json", exclude=exclude, by_alias=by_alias, exclude_defaults=exclude_defaults
    )
    _leave_versions(record, data)
    return data


def _leave_versions(value: Any, data: Any) -> None:
    """Take the versions out of `data`, which is what `value` was made into."""
    from pydantic import BaseModel

    from sparkplug.schema.base import Record

    if isinstance(value, BaseModel) and isinstance(data, dict):
        if isinstance(value, Record):
            data.pop("v", None)
        for name, field in type(value).model_fields.items():
            for key in (name, field.serialization_alias):
                if key in data:
                    _leave_versions(getattr(value, name), data[key])
    elif isinstance(value, Mapping) and isinstance(data, dict) and len(value) == len(data):
        for one, found in zip(value.values(), data.values(), strict=True):
            _leave_versions(one, found)
    elif isinstance(value, Sequence) and isinstance(data, list) and len(value) == len(data):
        for one, found in zip(value, data, strict=True):
            _leave_versions(one, found)
