"""What the host is made of and how warm it is: NUMA nodes, sensors, processors' clocks.

Sources: Linux Documentation/ABI/stable/sysfs-devices-node, Documentation/hwmon/sysfs-interface.rst,
Documentation/ABI/testing/sysfs-devices-system-cpu.
"""

from __future__ import annotations

from pathlib import Path

from sparkplug.schema.host import NumaNode, Sensor

_SENSORS = 64
#: A sensor that is not connected tells one of these (millidegrees Celsius), or what is beyond.
_LEAST, _MOST = -40_000, 150_000


def numa_nodes(folder: str = "/sys/devices/system/node") -> list[NumaNode]:
    """The nodes with memory or processors; none where the kernel tells of no NUMA."""
    found = []
    for path in sorted(Path(folder).glob("node[0-9]*"), key=lambda p: int(p.name[4:])):
        try:
            cpus = (path / "cpulist").read_text().strip()
            lines = (path / "meminfo").read_text().splitlines()
        except OSError:
            continue
        # "Node 0 MemTotal:       24684084 kB"
        sizes = {f[2].rstrip(":"): int(f[3]) << 10 for line in lines if len(f := line.split()) > 3}
        found.append(
            NumaNode(
                node=int(path.name[4:]),
                cpus=cpus,
                total_bytes=sizes.get("MemTotal", 0),
                free_bytes=sizes.get("MemFree", 0),
            )
        )
    return found


def sensors(folder: str = "/sys/class/hwmon") -> list[Sensor]:
    """Temperatures and fans. Blocking: a chip behind a slow bus takes milliseconds to answer."""
    found: list[Sensor] = []
    for chip in sorted(Path(folder).glob("hwmon*")):
        name = _word(chip / "name") or chip.name
        for path in sorted(chip.glob("temp*_input")):
            value = _number(path)
            if value is None or not _LEAST < value < _MOST or len(found) >= _SENSORS:
                continue
            stem = path.name.removesuffix("_input")
            found.append(
                Sensor(
                    chip=name,
                    label=_word(chip / f"{stem}_label") or stem,
                    celsius=value / 1000,
                    high_celsius=_celsius(chip / f"{stem}_max"),
                    critical_celsius=_celsius(chip / f"{stem}_crit"),
                )
            )
        for path in sorted(chip.glob("fan*_input")):
            rpm = _number(path)
            if rpm is not None and len(found) < _SENSORS:
                stem = path.name.removesuffix("_input")
                label = _word(chip / f"{stem}_label") or stem
                found.append(Sensor(chip=name, label=label, rpm=rpm))
    return found


def battery(folder: str = "/sys/class/power_supply") -> float | None:
    """How full the first battery is, in percent; null where there is none."""
    for path in sorted(Path(folder).glob("BAT*/capacity")):
        value = _number(path)
        if value is not None and 0 <= value <= 100:
            return float(value)
    return None


def processor_model(path: str = "/proc/cpuinfo") -> str | None:
    """What the processor is called; Arm kernels name none."""
    for line in Path(path).read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip() or None
    return None


def mean_clock(folder: str = "/sys/devices/system/cpu") -> float | None:
    """The mean clock of all processors in MHz; null in a virtual machine that is told none."""
    values = [
        value
        for path in Path(folder).glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
        if (value := _number(path)) is not None
    ]
    return round(sum(values) / len(values) / 1000, 1) if values else None


def _celsius(path: Path) -> float | None:
    value = _number(path)
    # Chips write 0 or a great number where nobody set a limit.
    return value / 1000 if value is not None and 0 < value < _MOST else None


def _number(path: Path) -> int | None:
    word = _word(path)
    try:
        return int(word) if word else None
    except ValueError:
        return None


def _word(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None  # the sensor is asleep, or was taken out
