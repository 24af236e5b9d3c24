"""What agents publish for whoever listens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from sparkplug.schema.base import Record, utc_now

#: Bytes of what is published, as JSON.
MAX_PUBLISHED_BYTES = 256 << 10

#: Dotted words, as in `builds.done`.
Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
#: The same with `*` for any word, and `>` at the end for any words.
TopicFilter = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?$|^>$")
]


class Published(Record):
    """Something an agent said to whoever listens. Who said it is known by where it was said."""

    topic: str
    data: Any = None
    time: datetime = Field(default_factory=utc_now)
    agent: str = ""
    replica: str = ""
    ids: dict[str, Any] = Field(default_factory=dict, description="the trail it came by")
