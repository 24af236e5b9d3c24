"""What is raised where the server is away, or does not do what it is asked: tried again later."""

from __future__ import annotations

import nats.errors
import nats.js.errors

from sparkplug.schema.errors import SparkplugError

AWAY = (SparkplugError, TimeoutError, nats.errors.Error, nats.js.errors.Error)
