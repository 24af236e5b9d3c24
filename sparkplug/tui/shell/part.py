"""What every part of the app is: a mixin that knows the whole it is mixed into."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp


class Part:
    """A part of the control centre. Mixed into it."""

    @property
    def _centre(self) -> SparkplugApp:
        return cast("SparkplugApp", self)
