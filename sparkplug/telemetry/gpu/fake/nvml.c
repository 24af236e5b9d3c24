/*
 * A scripted stand-in for NVIDIA's management library, libnvidia-ml.so.1.
 *
 * It speaks the C interface of NVML (types and codes: NVIDIA's NVML API reference, nvml.h) and
 * takes every number from a scenario file named by the environment variable SPARKPLUG_FAKE_NVML,
 * read at nvmlInit. The exported symbol sparkplug_fake_nvml tells callers what they talk to.
 *
 * A scenario is text, one statement a line, `#` begins a comment:
 *
 *   driver TEXT | nvml TEXT | cuda NUMBER          versions (13000 is CUDA 13.0)
 *   init ok | driver_not_loaded                    what nvmlInit answers
 *   period SECONDS | loop yes | loop no            length of the script; loop no holds its end
 *   gpu NAME                                       begins a GPU; the lines after it are its own
 *   uuid TEXT
 *   FIELD VALUE                                    a constant
 *   FIELD step T:VALUE T:VALUE ...                 holds each value until the next time (s)
 *   FIELD linear T:VALUE ... [jitter:A]            a straight line between; +-A of noise, per second
 *   process PID|self-parent BYTES NAME [sm:PERCENT|sm:gpu] [from:T] [to:T]
 *   xid NUMBER T                                   an XID event at T
 *
 * Sizes take KiB, MiB, GiB. A field that is not named answers NVML_ERROR_NOT_SUPPORTED.
 * `blocked` is how many seconds a utilisation query of the GPU blocks; `lost` 1 is a lost GPU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int nvmlReturn_t;
typedef unsigned long long u64;

enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, UNKNOWN = 999
};

enum { MAX_GPUS = 16, MAX_FRAMES = 64, MAX_PROCESSES = 32, MAX_XIDS = 32, LINE = 4096 };

enum field {
    UTILIZATION, MEMORY_BUS, MEMORY_TOTAL, MEMORY_USED, MEMORY_RESERVED, POWER, POWER_LIMIT,
    TEMPERATURE, SLOWDOWN, SM_CLOCK, SM_CLOCK_MAX, CLOCK_REASONS, ECC_UNCORRECTED, ECC_CORRECTED,
    REMAP_PENDING, FAN, LOST, BLOCKED, PROCESS_UTILIZATION, FIELDS
};

static const char *FIELD_NAMES[FIELDS] = {
    "utilization", "memory_bus", "memory_total", "memory_used", "memory_reserved", "power",
    "power_limit", "temperature", "slowdown", "sm_clock", "sm_clock_max", "clock_reasons",
    "ecc_uncorrected", "ecc_corrected", "remap_pending", "fan", "lost", "blocked",
    "process_utilization",
};

/* nvmlClocksEventReason* bits of nvml.h. */
static const struct { const char *name; u64 bit; } REASONS[] = {
    {"none", 0x0}, {"idle", 0x1}, {"application_clocks", 0x2}, {"sw_power_cap", 0x4},
    {"hw_slowdown", 0x8}, {"sync_boost", 0x10}, {"sw_thermal", 0x20}, {"hw_thermal", 0x40},
    {"hw_power_brake", 0x80}, {"display_clock", 0x100},
};

struct track { int frames; int linear; double jitter; double at[MAX_FRAMES], value[MAX_FRAMES]; };
struct process { unsigned pid; u64 bytes; double sm; double from, to; char name[96]; };
struct xid { unsigned number; double at; };

struct gpu {
    int index;
    char name[96], uuid[96];
    struct track tracks[FIELDS];
    int processes, xids;
    struct process process[MAX_PROCESSES];
    struct xid xid[MAX_XIDS];
};

struct event_set { unsigned registered; double delivered[MAX_GPUS][MAX_XIDS]; };

static struct {
    int ready, gpus, loop, init;
    double period, origin;
    char driver[80], nvml[80];
    int cuda;
    struct gpu gpu[MAX_GPUS];
} state;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define EXPORT __attribute__((visibility("default")))

/* Tells that this library is the stand-in; the value is the version of the scenario form. */
EXPORT int sparkplug_fake_nvml = 1;

/* ---- reading a scenario ---- */

static double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int number(const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end == text) return 0;
    if (!strcmp(end, "KiB")) *value *= 1024.0;
    else if (!strcmp(end, "MiB")) *value *= 1048576.0;
    else if (!strcmp(end, "GiB")) *value *= 1073741824.0;
    else if (*end) return 0;
    return 1;
}

static int reasons(const char *text, double *value) {
    char copy[256], *rest = NULL;
    u64 bits = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, "+", &rest); word; word = strtok_r(NULL, "+", &rest)) {
        size_t i = 0, known = sizeof REASONS / sizeof *REASONS;
        while (i < known && strcmp(word, REASONS[i].name)) i++;
        if (i == known) return 0;
        bits |= REASONS[i].bit;
    }
    *value = (double)bits;
    return 1;
}

static int field_value(int field, const char *text, double *value) {
    return field == CLOCK_REASONS ? reasons(text, value) : number(text, value);
}

static const char *parse_track(struct gpu *gpu, int field, char *rest) {
    struct track *track = &gpu->tracks[field];
    char *save = NULL, *word = strtok_r(rest, " \t", &save);
    memset(track, 0, sizeof *track);
    if (!word) return "a field needs a value";
    if (strcmp(word, "step") && strcmp(word, "linear")) {
        if (!field_value(field, word, &track->value[0])) return "that value cannot be read";
        track->frames = 1;
        return strtok_r(NULL, " \t", &save) ? "a constant is one value; say step or linear" : NULL;
    }
    track->linear = word[0] == 'l';
    while ((word = strtok_r(NULL, " \t", &save))) {
        char *colon = strchr(word, ':');
        if (!colon) return "a keyframe is TIME:VALUE";
        *colon++ = 0;
        if (!strcmp(word, "jitter")) {
            if (!number(colon, &track->jitter)) return "jitter is a number";
            continue;
        }
        if (track->frames == MAX_FRAMES) return "too many keyframes on one line";
        if (!number(word, &track->at[track->frames])) return "a time is a number of seconds";
        if (!field_value(field, colon, &track->value[track->frames]))
            return "that value cannot be read";
        if (track->frames && track->at[track->frames] < track->at[track->frames - 1])
            return "keyframes must be in the order of their times";
        track->frames++;
    }
    return track->frames ? NULL : "a track needs keyframes";
}

static const char *parse_process(struct gpu *gpu, char *rest) {
    char *save = NULL, *pid = strtok_r(rest, " \t", &save), *size = strtok_r(NULL, " \t", &save),
         *name = strtok_r(NULL, " \t", &save), *word;
    double bytes;
    if (gpu->processes == MAX_PROCESSES) return "too many processes on one GPU";
    struct process *process = &gpu->process[gpu->processes];
    if (!name || !number(size, &bytes)) return "a process is: PID|self-parent BYTES NAME";
    *process = (struct process){.bytes = (u64)bytes, .sm = -1, .from = 0, .to = INFINITY};
    process->pid = strcmp(pid, "self-parent") ? (unsigned)strtoul(pid, NULL, 10)
                                              : (unsigned)getppid();
    if (!process->pid) return "that is no process id";
    snprintf(process->name, sizeof process->name, "%s", name);
    while ((word = strtok_r(NULL, " \t", &save))) {
        char *colon = strchr(word, ':');
        if (!colon) return "a process takes sm:, from: and to:";
        *colon++ = 0;
        if (!strcmp(word, "sm") && !strcmp(colon, "gpu")) { process->sm = -2; continue; }
        double *into = !strcmp(word, "sm") ? &process->sm
                     : !strcmp(word, "from") ? &process->from
                     : !strcmp(word, "to") ? &process->to : NULL;
        if (!into || !number(colon, into)) return "a process takes sm:, from: and to:";
    }
    gpu->processes++;
    return NULL;
}

static const char *parse_gpu_line(struct gpu *gpu, const char *key, char *rest) {
    if (!strcmp(key, "uuid")) {
        snprintf(gpu->uuid, sizeof gpu->uuid, "%s", rest);
        return NULL;
    }
    if (!strcmp(key, "process")) return parse_process(gpu, rest);
    if (!strcmp(key, "xid")) {
        struct xid *xid = &gpu->xid[gpu->xids];
        if (gpu->xids == MAX_XIDS) return "too many XID events on one GPU";
        if (sscanf(rest, "%u %lf", &xid->number, &xid->at) != 2) return "an XID is: NUMBER TIME";
        gpu->xids++;
        return NULL;
    }
    for (int field = 0; field < FIELDS; field++)
        if (!strcmp(key, FIELD_NAMES[field])) return parse_track(gpu, field, rest);
    return "no such field";
}

static const char *parse_line(const char *key, char *rest) {
    if (!strcmp(key, "driver")) { snprintf(state.driver, sizeof state.driver, "%s", rest); return NULL; }
    if (!strcmp(key, "nvml")) { snprintf(state.nvml, sizeof state.nvml, "%s", rest); return NULL; }
    if (!strcmp(key, "cuda")) { state.cuda = atoi(rest); return NULL; }
    if (!strcmp(key, "loop")) { state.loop = !strcmp(rest, "yes"); return NULL; }
    if (!strcmp(key, "init")) {
        state.init = strcmp(rest, "driver_not_loaded") ? OK : DRIVER_NOT_LOADED;
        return NULL;
    }
    if (!strcmp(key, "period"))
        return number(rest, &state.period) && state.period > 0 ? NULL : "a period is above zero";
    if (!strcmp(key, "gpu")) {
        if (state.gpus == MAX_GPUS) return "too many GPUs";
        struct gpu *gpu = &state.gpu[state.gpus];
        gpu->index = state.gpus;
        snprintf(gpu->name, sizeof gpu->name, "%s", rest);
        snprintf(gpu->uuid, sizeof gpu->uuid, "GPU-%08d-5350-4b00-8000-%012d", gpu->index, gpu->index);
        state.gpus++;
        return NULL;
    }
    if (!state.gpus) return "that line belongs to a GPU; say gpu NAME first";
    return parse_gpu_line(&state.gpu[state.gpus - 1], key, rest);
}

static nvmlReturn_t load(void) {
    const char *path = getenv("SPARKPLUG_FAKE_NVML"), *problem = NULL;
    char line[LINE];
    int count = 0;
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) {
        fprintf(stderr, "fake NVML: SPARKPLUG_FAKE_NVML=%s: %s\n", path ? path : "(unset)",
                path ? strerror(errno) : "no scenario");
        return DRIVER_NOT_LOADED;
    }
    memset(&state, 0, sizeof state);
    state.loop = 1;
    state.period = 60;
    while (!problem && fgets(line, sizeof line, file)) {
        char *start = line + strspn(line, " \t"), *end;
        count++;
        start[strcspn(start, "#\r\n")] = 0;
        for (end = start + strlen(start); end > start && (end[-1] == ' ' || end[-1] == '\t');) *--end = 0;
        if (!*start) continue;
        char *rest = start + strcspn(start, " \t");
        if (*rest) { *rest++ = 0; rest += strspn(rest, " \t"); }
        problem = parse_line(start, rest);
    }
    fclose(file);
    if (problem) {
        fprintf(stderr, "%s:%d: %s\n", path, count, problem);
        return UNKNOWN;
    }
    if (state.init != OK) return state.init;
    state.origin = monotonic();
    state.ready = 1;
    return OK;
}

/* ---- the script at this moment ---- */

static double elapsed(void) { return monotonic() - state.origin; }

static double script_time(void) {
    double now = elapsed();
    if (state.loop) return fmod(now, state.period);
    return now < state.period ? now : state.period;
}

/* Noise in [-1, 1) that is the same for the whole of one second. */
static double noise(int gpu, int field) {
    uint64_t x = (uint64_t)elapsed() * 0x9E3779B97F4A7C15ull + (uint64_t)(gpu * 131 + field + 1);
    x ^= x >> 30; x *= 0xBF58476D1CE4E5B9ull;
    x ^= x >> 27; x *= 0x94D049BB133111EBull;
    x ^= x >> 31;
    return (double)(x >> 11) / (double)(1ull << 52) - 1.0;
}

static int value_of(const struct gpu *gpu, int field, double *value) {
    const struct track *track = &gpu->tracks[field];
    if (!track->frames) return 0;
    double t = script_time();
    int i = 0;
    while (i + 1 < track->frames && track->at[i + 1] <= t) i++;
    *value = track->value[i];
    if (track->linear && i + 1 < track->frames && t > track->at[i]) {
        double span = track->at[i + 1] - track->at[i];
        *value += (track->value[i + 1] - track->value[i]) * (t - track->at[i]) / span;
    }
    if (track->jitter > 0) *value += track->jitter * noise(gpu->index, field);
    if (*value < 0) *value = 0;
    if (*value > 100 && (field == UTILIZATION || field == MEMORY_BUS || field == FAN)) *value = 100;
    return 1;
}

static nvmlReturn_t alive(const struct gpu *gpu) {
    double lost;
    if (!state.ready) return UNINITIALIZED;
    if (gpu < state.gpu || gpu >= state.gpu + state.gpus) return INVALID_ARGUMENT;
    return value_of(gpu, LOST, &lost) && lost > 0 ? GPU_IS_LOST : OK;
}

static nvmlReturn_t metric(const struct gpu *gpu, int field, double factor, unsigned *into) {
    double value;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (!value_of(gpu, field, &value)) return NOT_SUPPORTED;
    *into = (unsigned)(value * factor + 0.5);
    return OK;
}

static nvmlReturn_t text(const char *value, char *into, unsigned length) {
    if (!state.ready) return UNINITIALIZED;
    if (strlen(value) >= length) return INSUFFICIENT_SIZE;
    strcpy(into, value);
    return OK;
}

/* ---- the library ---- */

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    pthread_mutex_lock(&lock);
    nvmlReturn_t code = state.ready ? OK : load();
    pthread_mutex_unlock(&lock);
    return code;
}
EXPORT nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
EXPORT nvmlReturn_t nvmlInit(void) { return nvmlInitWithFlags(0); }
EXPORT nvmlReturn_t nvmlShutdown(void) { state.ready = 0; return OK; }

EXPORT const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case TIMEOUT: return "Timeout";
    case GPU_IS_LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *into, unsigned length) { return text(state.driver, into, length); }
EXPORT nvmlReturn_t nvmlSystemGetNVMLVersion(char *into, unsigned length) { return text(state.nvml, into, length); }
EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *into) {
    if (!state.ready) return UNINITIALIZED;
    *into = state.cuda;
    return OK;
}
EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *into) { return nvmlSystemGetCudaDriverVersion_v2(into); }
EXPORT nvmlReturn_t nvmlSystemGetProcessName(unsigned pid, char *into, unsigned length) {
    for (int g = 0; g < state.gpus; g++)
        for (int p = 0; p < state.gpu[g].processes; p++)
            if (state.gpu[g].process[p].pid == pid) return text(state.gpu[g].process[p].name, into, length);
    return NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *into) {
    if (!state.ready) return UNINITIALIZED;
    *into = (unsigned)state.gpus;
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetCount(unsigned *into) { return nvmlDeviceGetCount_v2(into); }
EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **into) {
    if (!state.ready) return UNINITIALIZED;
    if (index >= (unsigned)state.gpus) return INVALID_ARGUMENT;
    *into = &state.gpu[index];
    return alive(*into);
}
EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, struct gpu **into) { return nvmlDeviceGetHandleByIndex_v2(index, into); }
EXPORT nvmlReturn_t nvmlDeviceGetName(struct gpu *gpu, char *into, unsigned length) {
    nvmlReturn_t code = alive(gpu);
    return code == OK ? text(gpu->name, into, length) : code;
}
EXPORT nvmlReturn_t nvmlDeviceGetUUID(struct gpu *gpu, char *into, unsigned length) {
    nvmlReturn_t code = alive(gpu);
    return code == OK ? text(gpu->uuid, into, length) : code;
}
EXPORT nvmlReturn_t nvmlDeviceGetIndex(struct gpu *gpu, unsigned *into) {
    nvmlReturn_t code = alive(gpu);
    if (code == OK) *into = (unsigned)gpu->index;
    return code;
}

struct utilization { unsigned gpu, memory; };
EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(struct gpu *gpu, struct utilization *into) {
    double blocked;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (value_of(gpu, BLOCKED, &blocked) && blocked > 0) {
        double until = monotonic() + blocked;
        while (monotonic() < until) usleep(20000);
    }
    code = metric(gpu, UTILIZATION, 1, &into->gpu);
    if (code == OK && metric(gpu, MEMORY_BUS, 1, &into->memory) != OK) into->memory = 0;
    return code;
}

struct memory { u64 total, free, used; };
struct memory_v2 { unsigned version; u64 total, reserved, free, used; };
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(struct gpu *gpu, struct memory_v2 *into) {
    double total, used, reserved = 0;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (!value_of(gpu, MEMORY_TOTAL, &total) || !value_of(gpu, MEMORY_USED, &used)) return NOT_SUPPORTED;
    value_of(gpu, MEMORY_RESERVED, &reserved);
    if (used > total - reserved) used = total - reserved;
    into->total = (u64)total;
    into->used = (u64)used;
    into->reserved = (u64)reserved;
    into->free = into->total - into->used - into->reserved;
    return OK;
}
/* The first form of the call has no word for reserved memory and counts it as used. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(struct gpu *gpu, struct memory *into) {
    struct memory_v2 info;
    nvmlReturn_t code = nvmlDeviceGetMemoryInfo_v2(gpu, &info);
    if (code == OK) *into = (struct memory){info.total, info.free, info.used + info.reserved};
    return code;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerUsage(struct gpu *gpu, unsigned *into) { return metric(gpu, POWER, 1000, into); }
EXPORT nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(struct gpu *gpu, unsigned *into) { return metric(gpu, POWER_LIMIT, 1000, into); }
EXPORT nvmlReturn_t nvmlDeviceGetTemperature(struct gpu *gpu, unsigned sensor, unsigned *into) {
    return sensor == 0 ? metric(gpu, TEMPERATURE, 1, into) : NOT_SUPPORTED;
}
EXPORT nvmlReturn_t nvmlDeviceGetTemperatureThreshold(struct gpu *gpu, unsigned kind, unsigned *into) {
    return kind == 1 ? metric(gpu, SLOWDOWN, 1, into) : NOT_SUPPORTED;
}
EXPORT nvmlReturn_t nvmlDeviceGetClockInfo(struct gpu *gpu, unsigned kind, unsigned *into) {
    return kind == 1 ? metric(gpu, SM_CLOCK, 1, into) : NOT_SUPPORTED;
}
EXPORT nvmlReturn_t nvmlDeviceGetMaxClockInfo(struct gpu *gpu, unsigned kind, unsigned *into) {
    return kind == 1 ? metric(gpu, SM_CLOCK_MAX, 1, into) : NOT_SUPPORTED;
}
EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed(struct gpu *gpu, unsigned *into) { return metric(gpu, FAN, 1, into); }

EXPORT nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(struct gpu *gpu, u64 *into) {
    unsigned bits;
    nvmlReturn_t code = metric(gpu, CLOCK_REASONS, 1, &bits);
    if (code == OK) *into = bits;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(struct gpu *gpu, u64 *into) { return nvmlDeviceGetCurrentClocksEventReasons(gpu, into); }

EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(struct gpu *gpu, unsigned kind, unsigned counter, u64 *into) {
    unsigned count;
    if (counter != 0) return NOT_SUPPORTED;
    nvmlReturn_t code = metric(gpu, kind ? ECC_UNCORRECTED : ECC_CORRECTED, 1, &count);
    if (code == OK) *into = count;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows(struct gpu *gpu, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    nvmlReturn_t code = metric(gpu, REMAP_PENDING, 1, pending);
    if (code == OK) { *corrected = 0; *uncorrected = *pending; *failed = 0; }
    return code;
}

/* ---- processes ---- */

struct process_info_v1 { unsigned pid; u64 used; };
struct process_info { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; };
struct process_sample { unsigned pid; u64 time; unsigned sm, memory, encoder, decoder; };

static int running(const struct process *process) {
    double t = script_time();
    return t >= process->from && t < process->to;
}

static nvmlReturn_t list_processes(struct gpu *gpu, unsigned *count, void *into, int v1) {
    unsigned found = 0, room = into ? *count : 0;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    for (int p = 0; p < gpu->processes; p++) {
        const struct process *process = &gpu->process[p];
        if (!running(process)) continue;
        if (found < room && v1) ((struct process_info_v1 *)into)[found] = (struct process_info_v1){process->pid, process->bytes};
        else if (found < room) ((struct process_info *)into)[found] = (struct process_info){process->pid, process->bytes, ~0u, ~0u};
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *gpu, unsigned *count, void *into) { return list_processes(gpu, count, into, 0); }
EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(struct gpu *gpu, unsigned *count, void *into) { return list_processes(gpu, count, into, 0); }
EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(struct gpu *gpu, unsigned *count, void *into) { return list_processes(gpu, count, into, 1); }

/* Every scripted process is a compute process. */
static nvmlReturn_t no_processes(struct gpu *gpu, unsigned *count) {
    nvmlReturn_t code = alive(gpu);
    if (code == OK) *count = 0;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(struct gpu *gpu, unsigned *count, void *into) { (void)into; return no_processes(gpu, count); }
EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(struct gpu *gpu, unsigned *count, void *into) { (void)into; return no_processes(gpu, count); }
EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(struct gpu *gpu, unsigned *count, void *into) { (void)into; return no_processes(gpu, count); }

static unsigned busy(const struct gpu *gpu, const struct process *process) {
    double value = process->sm;
    if (process->sm == -2 && !value_of(gpu, UTILIZATION, &value)) value = 0;
    return value > 0 ? (unsigned)(value + 0.5) : 0;
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessUtilization(struct gpu *gpu, struct process_sample *into, unsigned *count, u64 since) {
    unsigned found = 0, room = into ? *count : 0;
    double supported;
    struct timespec now;
    nvmlReturn_t code = alive(gpu);
    (void)since;
    if (code != OK) return code;
    if (!value_of(gpu, PROCESS_UTILIZATION, &supported) || supported <= 0) return NOT_SUPPORTED;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int p = 0; p < gpu->processes; p++) {
        const struct process *process = &gpu->process[p];
        unsigned sm = running(process) ? busy(gpu, process) : 0;
        if (!sm) continue;
        if (found < room)
            into[found] = (struct process_sample){process->pid, (u64)now.tv_sec * 1000000u + (u64)now.tv_nsec / 1000u, sm, sm / 2, 0, 0};
        found++;
    }
    *count = found;
    if (!found) return NOT_FOUND;
    return found > room ? INSUFFICIENT_SIZE : OK;
}

/* ---- events ---- */

struct event { struct gpu *gpu; u64 type, data; unsigned gpu_instance, compute_instance; };
enum { XID_EVENT = 0x8 };

EXPORT nvmlReturn_t nvmlEventSetCreate(struct event_set **into) {
    if (!state.ready) return UNINITIALIZED;
    *into = calloc(1, sizeof **into);
    if (!*into) return UNKNOWN;
    for (int g = 0; g < MAX_GPUS; g++)
        for (int x = 0; x < MAX_XIDS; x++) (*into)->delivered[g][x] = -1;
    return OK;
}
EXPORT nvmlReturn_t nvmlEventSetFree(struct event_set *set) { free(set); return OK; }
EXPORT nvmlReturn_t nvmlDeviceGetSupportedEventTypes(struct gpu *gpu, u64 *into) {
    nvmlReturn_t code = alive(gpu);
    if (code == OK) *into = XID_EVENT;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(struct gpu *gpu, u64 types, struct event_set *set) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (types & ~(u64)XID_EVENT) return NOT_SUPPORTED;
    set->registered |= 1u << gpu->index;
    return OK;
}

/* When the event is next due, in seconds since nvmlInit; infinite when never again. */
static double next_due(double at, double delivered) {
    if (delivered < 0) return at;
    return state.loop ? delivered + state.period : INFINITY;
}

EXPORT nvmlReturn_t nvmlEventSetWait_v2(struct event_set *set, struct event *into, unsigned timeout_ms) {
    double until = monotonic() + timeout_ms / 1000.0;
    for (;;) {
        double now = elapsed();
        if (!state.ready) return UNINITIALIZED;
        for (int g = 0; g < state.gpus; g++) {
            struct gpu *gpu = &state.gpu[g];
            for (int x = 0; set->registered & (1u << g) && x < gpu->xids; x++) {
                double due = next_due(gpu->xid[x].at, set->delivered[g][x]);
                if (due > now) continue;
                set->delivered[g][x] = due;
                *into = (struct event){gpu, XID_EVENT, gpu->xid[x].number, ~0u, ~0u};
                return OK;
            }
        }
        if (monotonic() >= until) return TIMEOUT;
        usleep(10000);
    }
}
EXPORT nvmlReturn_t nvmlEventSetWait(struct event_set *set, struct event *into, unsigned timeout_ms) { return nvmlEventSetWait_v2(set, into, timeout_ms); }
