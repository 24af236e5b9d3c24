"""What of a host needs a person. Without the models themselves: faces import it early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sparkplug.schema.gpu import Gpu, GpuEvent, Xid
    from sparkplug.schema.host import HostSample
    from sparkplug.schema.node_services import HostView

#: What a GPU is that does not answer as it should, and what helps.
_STATES = {
    "lost": ("lost", "restart the host"),
    "stale": ("a call to it hangs", "reset it, or restart the host, if it does not come back"),
    "error": ("does not answer as it should", "look into the kernel's log"),
}


@dataclass(frozen=True, slots=True)
class HostNeed:
    """One thing an operator has to see to: where on the host, what it is, what helps, and more.

    `since` is when it was reported; None where it is so now, and gone when it is so no longer.
    """

    place: str
    what: str
    remedy: str = ""
    detail: str = ""
    since: datetime | None = None


def host_needs(view: HostView) -> list[HostNeed]:
    """What of a host needs a person, at most one thing of each GPU.

    States go away when they are over; what the driver reported is so when it was acknowledged.
    """
    if str(view.state) == "stale":
        return [HostNeed("", "silent", "look whether it is up and can be reached")]
    sample = view.sample
    if sample is None or str(view.state) == "stopped":
        return []
    found = [HostNeed("disk", f"{mount} does not answer") for mount in sample.mounts_not_answering]
    state = str(sample.driver.state)
    if state == "not_responding":
        # Of GPUs nothing is known then.
        found.append(
            HostNeed("driver", "NVIDIA driver does not respond", "restart the host if it stays so")
        )
        return found
    if state == "error":
        found.append(
            HostNeed("driver", "NVIDIA driver in error", detail=sample.driver.reason or "")
        )
        return found
    reported = _reported(sample, view.order.acknowledged if view.order else None)
    for gpu in sample.gpus:
        event = reported.pop(gpu.uuid, None)
        need = _gpu(gpu, event)
        if need is not None:
            found.append(need)
    # Of a GPU that the driver does not name any more.
    found += [_event(event) for event in reported.values()]
    return found


def newest_report(sample: HostSample) -> datetime | None:
    """When the driver last reported something that needs a person."""
    return max((event.time for event in _all_reported(sample)), default=None)


def is_ailing(gpu: Gpu) -> bool:
    """Whether its memory has errors since the driver was loaded, or waits for repair."""
    return bool(
        gpu.ecc_uncorrected_volatile
        or gpu.remapped_rows_pending
        or gpu.remapped_rows_failed
        or gpu.retired_pages_pending
    )


def _all_reported(sample: HostSample) -> Iterator[GpuEvent | Xid]:
    yield from (event for event in sample.gpu_events if event.remedy)
    yield from (xid for xid in sample.xids if xid.remedy)


def _reported(sample: HostSample, acknowledged: datetime | None) -> dict[str, GpuEvent | Xid]:
    """The newest of each GPU that nobody acknowledged, by uuid."""
    found: dict[str, GpuEvent | Xid] = {}
    for event in _all_reported(sample):
        if acknowledged is not None and event.time <= acknowledged:
            continue
        before = found.get(event.uuid)
        if before is None or before.time <= event.time:
            found[event.uuid] = event
    return found


def _gpu(gpu: Gpu, event: GpuEvent | Xid | None) -> HostNeed | None:
    place = f"gpu {gpu.index}"
    state = _STATES.get(str(gpu.state))
    if state is not None:
        what, remedy = state
        # What the driver said of it tells more than that it is gone.
        if event is None:
            return HostNeed(place, what, remedy)
        told = _event(event)
        return HostNeed(place, f"{what} · {told.what}", told.remedy, told.detail, told.since)
    if event is not None:
        return _event(event)
    if not is_ailing(gpu):
        return None
    if gpu.remapped_rows_failed:
        return HostNeed(place, "remapping a row of its memory failed", "have it replaced")
    if gpu.remapped_rows_pending:
        return HostNeed(place, "rows of its memory wait to be remapped", "reset it")
    if gpu.retired_pages_pending:
        return HostNeed(place, "pages of its memory wait to be retired", "reset it")
    errors = gpu.ecc_uncorrected_volatile
    return HostNeed(place, f"{errors} uncorrected memory errors", "reset it")


def _event(event: GpuEvent | Xid) -> HostNeed:
    what = f"XID {event.xid}" if hasattr(event, "xid") else event.kind.replace("_", " ")
    return HostNeed(f"gpu {event.gpu}", what, event.remedy or "", event.meaning, event.time)
