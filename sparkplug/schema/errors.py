"""Errors a user sees: what, where, why and what to do next, with the exit code of each kind."""

from __future__ import annotations

from typing import ClassVar


class SparkplugError(Exception):
    """An error that is shown to a person as one clear message.

    `code` is a stable word for scripts, `where` names the place (file:line:column, a
    subject, a path), `hint` says what to do next, and `exit_code` is what the CLI leaves with.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.hint}" if self.hint else ""
        return f"{place}{self.message}{advice}"

    @property
    def in_a_line(self) -> str:
        """The same where there is room for one line alone."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}{f'; {self.hint}' if self.hint else ''}"

    def as_json(self) -> dict[str, dict[str, str | None]]:
        """The `{error: {code, message, where, hint}}` object that `--json` prints."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "where": self.where,
                "hint": self.hint,
            }
        }


class InvalidError(SparkplugError):
    """Wrong usage, or a file that does not hold."""

    code = "invalid"
    exit_code = 2


class NotFoundError(SparkplugError):
    """Nothing has that name."""

    code = "not_found"
    exit_code = 3


class RefusedError(SparkplugError):
    """Permitted to nobody, or not to this caller (policy, read-only, identity)."""

    code = "refused"
    exit_code = 4


class ConflictError(SparkplugError):
    """Somebody else changed the same thing first, or the name is taken."""

    code = "conflict"
    exit_code = 1


class CancelledRequestError(SparkplugError):
    """The request was cancelled by somebody while it was worked on."""

    code = "cancelled"
    exit_code = 1


class WaitingError(SparkplugError):
    """The request waits for a person, and goes on by itself once one has answered."""

    code = "waiting"
    exit_code = 1

    @property
    def agent(self) -> str:
        """The agent that waits."""
        return (self.where or "").partition("/")[0]

    @property
    def questions(self) -> list[str]:
        """The ids of the questions it waits for."""
        _, _, told = self.message.partition("question ")
        return [id_.strip() for id_ in told.partition(":")[0].split(",") if id_.strip()]


class NoMeshError(SparkplugError):
    """No mesh can be reached from here."""

    code = "no_mesh"
    exit_code = 5


class AskAgainError(SparkplugError):
    """What worked on the request ended before it answered: the same request may be made again."""

    code = "ask_again"
    exit_code = 1


class DeadlineError(SparkplugError):
    """The thing asked for did not happen in time."""

    code = "timeout"
    exit_code = 124


ERRORS: dict[str, type[SparkplugError]] = {
    kind.code: kind
    for kind in (
        SparkplugError,
        InvalidError,
        NotFoundError,
        RefusedError,
        ConflictError,
        CancelledRequestError,
        WaitingError,
        NoMeshError,
        AskAgainError,
        DeadlineError,
    )
}


def error_from_json(data: dict[str, str | None]) -> SparkplugError:
    """The error that a service answered with, as the class its code names."""
    kind = ERRORS.get(data.get("code") or "", SparkplugError)
    return kind(data.get("message") or "failed", where=data.get("where"), hint=data.get("hint"))
