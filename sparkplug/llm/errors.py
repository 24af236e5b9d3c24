"""Why a model gave no usable answer. Each kind says whether asking again can help."""

from __future__ import annotations

from typing import ClassVar

from sparkplug.schema.errors import SparkplugError


class NoModelError(SparkplugError):
    """No model is configured, or none gives a usable answer. The kinds below say which.

    `again` tells that the same call may work later, `elsewhere` that another model may take it,
    `retry_after` how many seconds the server asked to wait (None: it did not say).
    """

    code = "no_model"
    again: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after = retry_after


class ModelTimeoutError(NoModelError):
    """It did not answer in time: to the first token, between two, or as a whole."""

    code = "model_timeout"
    exit_code = 124
    again = elsewhere = True


class ModelUnavailableError(NoModelError):
    """The endpoint cannot be reached, or says that it fails itself (5xx)."""

    code = "model_unavailable"
    again = elsewhere = True


class RateLimitedError(NoModelError):
    """The endpoint takes no more for now (429)."""

    code = "model_rate_limited"
    again = elsewhere = True


class BrokenAnswerError(NoModelError):
    """The answer broke off in its middle."""

    code = "model_broken"
    again = elsewhere = True


class MalformedAnswerError(NoModelError):
    """What came is no answer of the protocol, no JSON of the schema, or no call of a tool."""

    code = "model_malformed"
    again = elsewhere = True


class ModelRefusedError(NoModelError):
    """The endpoint does not take this request (400, 404, 422), or this key (401, 403)."""

    code = "model_refused"
    exit_code = 4
    elsewhere = True


class ContextLengthError(NoModelError):
    """The conversation is longer than the model takes."""

    code = "model_context"
    elsewhere = True
