"""A form with a field of every kind."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from sparkplug.schema.units import Bytes, Seconds
from sparkplug.tui.widgets.form.form import Form

ABOUT = "Fields of a pydantic model, one a row, checked as one types."


class Limits(BaseModel):
    """What it may use."""

    memory: Bytes = Field(16 << 30, description="bytes of memory")
    wait: Seconds = Field(90.0, gt=0, description="longest wait, in seconds")
    share: float = Field(0.5, ge=0, le=1, description="share of one core")


class Retry(BaseModel):
    """How often it is tried again."""

    times: int = Field(3, ge=1, le=10)
    after: Seconds = 1.5


class Job(BaseModel):
    """A job."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern="^[a-z-]+$", description="small letters and dashes")
    runtime: Literal["python", "langgraph", "shell"] = Field("python", description="what runs it")
    replicas: int = Field(1, ge=0, le=64, description="how many at once")
    verbose: bool = Field(False, description="write down every step")
    token: SecretStr | None = Field(None, description="never shown")
    capabilities: list[str] = Field(default_factory=list, description="what it can do")
    env: dict[str, str] = Field(default_factory=dict, description="its environment")
    hosts: str | list[str] = Field("any", description="where it may run")
    limits: Limits = Field(default_factory=Limits)
    retry: Retry | None = None


class _Page(Container):
    """A form that one can leave."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def compose(self) -> ComposeResult:
        """The form."""
        yield self._form

    async def on_form_left(self) -> None:
        """Escape: back to the list."""
        await self.app.run_action("names")


def make() -> Widget:
    """A form of a made-up job."""
    job = Job(name="night-shift", env={"LANG": "C"})
    return _Page(Form(Job, job, title="job", submit="deploy"))
