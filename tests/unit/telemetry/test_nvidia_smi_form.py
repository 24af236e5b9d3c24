"""What nvidia-smi writes is read as the comparison on a machine with a GPU reads it."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fakes.nvidia_smi import FIGURES, MIB, accounts_apart, differences, figure
from sparkplug.schema.gpu import AccountedProcess, Gpu, GpuMemory, Pcie
from sparkplug.telemetry.gpu.client import GpuSource
from sparkplug.telemetry.gpu.fake.build import NoCompilerError
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

#: The form of `nvidia-smi -q -x` of driver 580 for an H100; DTD nvsmi_device_v12.
SAID = """\
<gpu id="00000000:1B:00.0">
  <product_name>NVIDIA H100 80GB HBM3</product_name>
  <display_active>Disabled</display_active>
  <persistence_mode>Enabled</persistence_mode>
  <mig_mode><current_mig>Disabled</current_mig><pending_mig>Disabled</pending_mig></mig_mode>
  <accounting_mode>Disabled</accounting_mode>
  <serial>1654123001234</serial>
  <uuid>GPU-1b2c</uuid>
  <vbios_version>96.00.89.00.01</vbios_version>
  <board_part_number>692-2G520-0200-000</board_part_number>
  <inforom_version><img_version>G520.0200.00.05</img_version></inforom_version>
  <pci>
    <pci_gpu_link_info>
      <pcie_gen><max_link_gen>5</max_link_gen><current_link_gen>5</current_link_gen></pcie_gen>
      <link_widths><current_link_width>16x</current_link_width></link_widths>
    </pci_gpu_link_info>
    <replay_counter>0</replay_counter>
  </pci>
  <fan_speed>N/A</fan_speed>
  <performance_state>P0</performance_state>
  <fb_memory_usage>
    <total>81559 MiB</total><reserved>551 MiB</reserved><used>61012 MiB</used>
  </fb_memory_usage>
  <bar1_memory_usage><total>131072 MiB</total></bar1_memory_usage>
  <compute_mode>Exclusive_Process</compute_mode>
  <utilization>
    <gpu_util>93 %</gpu_util><memory_util>52 %</memory_util>
    <encoder_util>0 %</encoder_util><decoder_util>0 %</decoder_util>
  </utilization>
  <ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode>
  <remapped_rows>
    <remapped_row_corr>0</remapped_row_corr><remapped_row_unc>1</remapped_row_unc>
  </remapped_rows>
  <temperature>
    <gpu_temp>61 C</gpu_temp><memory_temp>71 C</memory_temp>
  </temperature>
  <gpu_power_readings>
    <power_draw>N/A</power_draw>
    <instant_power_draw>612.31 W</instant_power_draw>
    <current_power_limit>700.00 W</current_power_limit>
    <default_power_limit>700.00 W</default_power_limit>
    <min_power_limit>200.00 W</min_power_limit>
    <max_power_limit>700.00 W</max_power_limit>
  </gpu_power_readings>
  <clocks><sm_clock>1950 MHz</sm_clock><mem_clock>2619 MHz</mem_clock></clocks>
  <max_clocks><sm_clock>1980 MHz</sm_clock><mem_clock>2619 MHz</mem_clock></max_clocks>
</gpu>
"""


def the_same() -> Gpu:
    """Those figures, as SparkPlug has them."""
    return Gpu(
        index=0,
        uuid="GPU-1b2c",
        name="NVIDIA H100 80GB HBM3",
        serial="1654123001234",
        vbios="96.00.89.00.01",
        part_number="692-2G520-0200-000",
        inforom="G520.0200.00.05",
        display=False,
        accounting=False,
        persistence=True,
        mig_enabled=False,
        ecc_enabled=True,
        compute_mode="exclusive process",
        memory=GpuMemory(
            total_bytes=81559 * MIB,
            used_bytes=61000 * MIB,
            free_bytes=20000 * MIB,
            reserved_bytes=551 * MIB,
        ),
        bar1=GpuMemory(total_bytes=131072 * MIB, used_bytes=0, free_bytes=131072 * MIB),
        utilization_percent=90,
        memory_bus_percent=50,
        encoder_percent=0,
        decoder_percent=0,
        temperature_celsius=62,
        temperature_memory_celsius=71,
        power_watts=620,
        power_limit_watts=700,
        power_limit_default_watts=700,
        power_limit_min_watts=200,
        power_limit_max_watts=700,
        sm_clock_mhz=1930,
        memory_clock_mhz=2619,
        sm_clock_max_mhz=1980,
        memory_clock_max_mhz=2619,
        pcie=Pcie(generation=5, generation_max=5, width=16, replays=0),
        remapped_rows_corrected=0,
        remapped_rows_uncorrected=1,
    )


def test_the_same_figures_agree_and_none_is_left_out() -> None:
    apart, compared = differences(the_same(), ET.fromstring(SAID))
    assert apart == []
    # All but the fan and retired pages, which this chip has not, and 13 words.
    assert compared == len(FIGURES) - 3 + 13


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"utilization_percent": 12}, "utilisation: ours 12.0, nvidia-smi 93.0"),
        ({"power_limit_watts": None}, "power limit: ours None, nvidia-smi 700.0"),
        ({"fan_percent": 0}, "fan: ours 0.0, nvidia-smi None"),
        ({"compute_mode": "default"}, "compute mode: ours default, nvidia-smi Exclusive_Process"),
        ({"serial": None}, "serial: ours None, nvidia-smi 1654123001234"),
    ],
)
def test_what_differs_is_named(changes: dict[str, object], told: str) -> None:
    gpu = Gpu.model_validate({**the_same().model_dump(), **changes})
    assert differences(gpu, ET.fromstring(SAID))[0] == [f"gpu 0 {told}"]


def test_accounts_of_processes_that_ended_are_compared() -> None:
    said = ET.fromstring(
        "<gpu><accounted_processes><accounted_process_info><pid>4711</pid>"
        "<gpu_util>93 %</gpu_util><memory_util>54 %</memory_util><time>11160500 ms</time>"
        "<max_memory_usage>71680 MiB</max_memory_usage><is_running>0</is_running>"
        "</accounted_process_info></accounted_processes></gpu>"
    )
    one = AccountedProcess(
        pid=4711,
        seconds=11160.5,
        utilization_percent=93,
        memory_bus_percent=54,
        max_memory_bytes=71680 * MIB,
    )
    gpu = the_same().model_copy(update={"accounted": [one]})
    assert accounts_apart(gpu, said) == []
    other = one.model_copy(update={"utilization_percent": 12})
    assert accounts_apart(gpu.model_copy(update={"accounted": [other]}), said)


def test_what_is_not_there_is_nothing() -> None:
    said = ET.fromstring(SAID)
    assert figure(said, "fan_speed") is None
    assert figure(said, "no/such") is None
    assert figure(said, "clocks/sm_clock") == 1950.0


async def test_every_figure_that_is_compared_is_measured(tmp_path: Path) -> None:
    scenario = Path(__file__).parents[3] / "config" / "scenarios" / "h100-nvlink.scenario"
    try:
        environment = fake_nvml_environment(scenario, tmp_path)
    except NoCompilerError as error:
        pytest.skip(error.message)
    source = GpuSource(environment=environment)
    try:
        async with asyncio.timeout(30):
            while not (gpus := (await source.read()).gpus) or gpus[0].pcie is None:
                await asyncio.sleep(0.1)
    finally:
        await source.close()
    lacking = {name for name, (ours, _, _) in FIGURES.items() if ours(gpus[0]) is None}
    assert lacking == {"fan", "retired pages, one bit", "retired pages, two bits"}
