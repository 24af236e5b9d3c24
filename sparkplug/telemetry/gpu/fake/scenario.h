/*
 * A scripted stand-in for NVIDIA's management library, libnvidia-ml.so.1.
 *
 * It speaks the C interface of NVML (types and codes: NVIDIA's NVML API reference, nvml.h) and
 * takes every number from a scenario file named by the environment variable SPARKPLUG_FAKE_NVML,
 * read at nvmlInit. The exported symbol sparkplug_fake_nvml tells callers what they talk to.
 * SPARKPLUG_GPUS_SINCE (seconds of CLOCK_MONOTONIC), where it is set, is when the script began:
 * a process that takes another's place goes on where that one was.
 *
 * A scenario is text, one statement a line, `#` begins a comment:
 *
 *   driver TEXT | nvml TEXT | cuda NUMBER          versions (13000 is CUDA 13.0)
 *   init ok | driver_not_loaded | no_permission | version_mismatch     what nvmlInit answers
 *   period SECONDS | loop yes | loop no            length of the script; loop no holds its end
 *   gpu NAME                                       begins a GPU; the lines after it are its own
 *   uuid | serial | vbios | pci | cpus TEXT        cpus 0-47; pci 00000000:1B:00.0
 *   part | inforom TEXT                            the board's part number, its inforom's version
 *   nvlink_to switch | gpus                        where its links lead
 *   like NUMBER                                    every field of that GPU above, to be changed
 *   FIELD VALUE                                    a constant
 *   FIELD step T:VALUE T:VALUE ...                 holds each value until the next time (s)
 *   FIELD linear T:VALUE ... [jitter:A]            a straight line between; +-A of noise, per second
 *   hang FIELD T SECONDS                           the call that reads it blocks from T on
 *   process PID|self-parent BYTES NAME [sm:PERCENT|sm:gpu] [from:T] [to:T]
 *   accounted PID BYTES [gpu:PERCENT] [memory:PERCENT] [from:T] [to:T]
 *                                  what is accounted of a process that ran then; T in seconds
 *                                  since the script began, once, below 0 for before
 *   mig PROFILE BYTES USED SMS                     a MIG device
 *   xid NUMBER T                                   an XID event at T
 *   event KIND T                                   another event at T: double_bit_ecc, ...
 *
 * Sizes take KiB, MiB, GiB. A field that is not named answers NVML_ERROR_NOT_SUPPORTED.
 * `blocked` is how many seconds a utilisation query of the GPU blocks; `lost` 1 is a lost GPU.
 * Fields of rates (pcie_receive, nvlink_transmit) are bytes a second; `energy` is what was used
 * before the script began, in joules: power is added up to it.
 */
#ifndef SPARKPLUG_SCENARIO_H
#define SPARKPLUG_SCENARIO_H

typedef int nvmlReturn_t;
typedef unsigned long long u64;

enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4,
    NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15,
    VERSION_MISMATCH = 18, UNKNOWN = 999
};

enum { MAX_GPUS = 16, MAX_FRAMES = 64, MAX_PROCESSES = 32, MAX_EVENTS = 32, MAX_HANGS = 8,
       MAX_MIG = 8, MAX_ACCOUNTS = 128, MAX_LINKS = 18, LINE = 4096 };

/* Every field of a scenario and its name in files. */
#define FIELDS_OF_A_GPU(X) \
    X(UTILIZATION, "utilization") X(MEMORY_BUS, "memory_bus") X(MEMORY_TOTAL, "memory_total") \
    X(MEMORY_USED, "memory_used") X(MEMORY_RESERVED, "memory_reserved") X(POWER, "power") \
    X(POWER_LIMIT, "power_limit") X(TEMPERATURE, "temperature") X(SLOWDOWN, "slowdown") \
    X(SM_CLOCK, "sm_clock") X(SM_CLOCK_MAX, "sm_clock_max") X(CLOCK_REASONS, "clock_reasons") \
    X(ECC_UNCORRECTED, "ecc_uncorrected") X(ECC_CORRECTED, "ecc_corrected") \
    X(REMAP_PENDING, "remap_pending") X(FAN, "fan") X(LOST, "lost") X(BLOCKED, "blocked") \
    X(PROCESS_UTILIZATION, "process_utilization") \
    X(ENCODER, "encoder") X(DECODER, "decoder") X(JPEG, "jpeg") X(OFA, "ofa") \
    X(MEMORY_TEMPERATURE, "memory_temperature") X(TEMPERATURE_MARGIN, "temperature_margin") \
    X(SHUTDOWN, "shutdown") X(MEMORY_TEMPERATURE_MAX, "memory_temperature_max") \
    X(POWER_LIMIT_DEFAULT, "power_limit_default") X(POWER_LIMIT_MIN, "power_limit_min") \
    X(POWER_LIMIT_MAX, "power_limit_max") X(POWER_SETTABLE, "power_settable") X(ENERGY, "energy") \
    X(GRAPHICS_CLOCK, "graphics_clock") X(MEMORY_CLOCK, "memory_clock") \
    X(MEMORY_CLOCK_MAX, "memory_clock_max") X(VIDEO_CLOCK, "video_clock") X(PSTATE, "pstate") \
    X(ECC_MODE, "ecc_mode") X(ECC_CORRECTED_EVER, "ecc_corrected_aggregate") \
    X(ECC_UNCORRECTED_EVER, "ecc_uncorrected_aggregate") X(REMAP_CORRECTED, "remap_corrected") \
    X(REMAP_UNCORRECTED, "remap_uncorrected") X(REMAP_FAILED, "remap_failed") \
    X(RETIRED_SINGLE, "retired_single") X(RETIRED_DOUBLE, "retired_double") \
    X(RETIRED_PENDING, "retired_pending") X(PCIE_GENERATION, "pcie_generation") \
    X(PCIE_GENERATION_MAX, "pcie_generation_max") X(PCIE_WIDTH, "pcie_width") \
    X(PCIE_WIDTH_MAX, "pcie_width_max") X(PCIE_RECEIVE, "pcie_receive") \
    X(PCIE_TRANSMIT, "pcie_transmit") X(PCIE_REPLAYS, "pcie_replays") X(BAR1_TOTAL, "bar1_total") \
    X(BAR1_USED, "bar1_used") X(NVLINKS, "nvlinks") X(NVLINKS_DOWN, "nvlinks_down") \
    X(NVLINK_VERSION, "nvlink_version") X(NVLINK_SPEED, "nvlink_speed") \
    X(NVLINK_RECEIVE, "nvlink_receive") X(NVLINK_TRANSMIT, "nvlink_transmit") \
    X(NVLINK_CRC, "nvlink_crc") X(NVLINK_REPLAY, "nvlink_replay") \
    X(NVLINK_RECOVERY, "nvlink_recovery") X(FABRIC_STATE, "fabric_state") \
    X(FABRIC_CLIQUE, "fabric_clique") X(FABRIC_HEALTH, "fabric_health") X(MIG_MODE, "mig_mode") \
    X(COMPUTE_MODE, "compute_mode") X(PERSISTENCE, "persistence") X(DISPLAY, "display") X(ACCOUNTING, "accounting") X(NUMA, "numa") \
    X(PCI_SWITCH, "pci_switch") X(CAPABILITY, "compute_capability") X(CORES, "cores") \
    X(GPM_GRAPHICS, "gpm_graphics") X(GPM_SM, "gpm_sm") X(GPM_OCCUPANCY, "gpm_occupancy") \
    X(GPM_TENSOR, "gpm_tensor") X(GPM_DRAM, "gpm_dram") X(GPM_FP64, "gpm_fp64") \
    X(GPM_FP32, "gpm_fp32") X(GPM_FP16, "gpm_fp16")

#define NAMED(name, text) name,
enum field { FIELDS_OF_A_GPU(NAMED) FIELDS };
#undef NAMED

struct track { int frames; int linear; double jitter; double at[MAX_FRAMES], value[MAX_FRAMES]; };
struct process { unsigned pid; u64 bytes; double sm; double from, to; char name[96]; };
struct account { unsigned pid; u64 bytes; double gpu, memory, from, to; };
struct happening { u64 type, data; double at; };
struct hang { int field; double at, seconds; };
struct mig { struct gpu *parent; int index; char profile[48], uuid[96]; double bytes, used; unsigned sms; };
/* What a counter has reached, from a rate that changes. */
struct counter { double at, value; };

struct gpu {
    int index;
    char name[96], uuid[96], serial[32], vbios[32], pci[32], cpus[96], part[32], inforom[32];
    int to_switch;
    struct track tracks[FIELDS];
    int processes, happenings, hangs, migs, accounts;
    struct process process[MAX_PROCESSES];
    struct happening happening[MAX_EVENTS];
    struct hang hang[MAX_HANGS];
    struct mig mig[MAX_MIG];
    struct account account[MAX_ACCOUNTS];
    struct counter energy, received, transmitted;
};

struct scenario {
    int ready, gpus, loop, init;
    double period, origin, loaded;
    char driver[80], nvml[80];
    int cuda;
    struct gpu gpu[MAX_GPUS];
};

extern struct scenario state;

#define EXPORT __attribute__((visibility("default")))

nvmlReturn_t load(void);
/* A number with its size (KiB, MiB, GiB); 0 where it is none. */
int number(const char *text, double *value);
const char *parse_accounted(struct gpu *gpu, char *rest);
double monotonic(void);
double elapsed(void);
double script_time(void);
int value_of(const struct gpu *gpu, int field, double *value);
nvmlReturn_t alive(const struct gpu *gpu);
/* A field's value times `factor` as a whole number; blocks where the script says it hangs. */
nvmlReturn_t metric(const struct gpu *gpu, int field, double factor, unsigned *into);
nvmlReturn_t text(const char *value, char *into, unsigned length);
/* What a rate (a field, a second) has added up to. */
double counted(const struct gpu *gpu, struct counter *counter, int field);
/* A handle may be a MIG device's: then the one it names, else NULL. */
struct mig *mig_of(const void *handle);

#endif
