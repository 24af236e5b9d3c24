/* Reading a scenario, and the script's values at this moment. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

struct scenario state;

#define NAMED(name, text) text,
static const char *FIELD_NAMES[FIELDS] = {FIELDS_OF_A_GPU(NAMED)};
#undef NAMED

/* nvmlClocksEventReason* bits of nvml.h. */
static const struct { const char *name; u64 bit; } REASONS[] = {
    {"none", 0x0}, {"idle", 0x1}, {"application_clocks", 0x2}, {"sw_power_cap", 0x4},
    {"hw_slowdown", 0x8}, {"sync_boost", 0x10}, {"sw_thermal", 0x20}, {"hw_thermal", 0x40},
    {"hw_power_brake", 0x80}, {"display_clock", 0x100},
};

/* nvmlEventType* bits of nvml.h. */
static const struct { const char *name; u64 type; } EVENTS[] = {
    {"single_bit_ecc", 0x1}, {"double_bit_ecc", 0x2}, {"power_source", 0x80}, {"mig_config", 0x100},
    {"single_bit_ecc_storm", 0x200}, {"dram_retirement", 0x400}, {"dram_retirement_failure", 0x800},
    {"non_fatal_poison", 0x1000}, {"fatal_poison", 0x2000}, {"gpu_unavailable", 0x4000},
    {"recovery_action", 0x8000},
};

/* ---- reading a scenario ---- */

double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int number(const char *text, double *value) {
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

static int field_named(const char *name) {
    for (int field = 0; field < FIELDS; field++)
        if (!strcmp(name, FIELD_NAMES[field])) return field;
    return -1;
}

static const char *parse_happening(struct gpu *gpu, int xid, const char *rest) {
    struct happening *happening = &gpu->happening[gpu->happenings];
    char kind[48];
    unsigned number_of = 0;
    if (gpu->happenings == MAX_EVENTS) return "too many events on one GPU";
    if (xid) {
        if (sscanf(rest, "%u %lf", &number_of, &happening->at) != 2) return "an XID is: NUMBER TIME";
        happening->type = 0x8;
        happening->data = number_of;
    } else {
        if (sscanf(rest, "%47s %lf", kind, &happening->at) != 2) return "an event is: KIND TIME";
        size_t i = 0, known = sizeof EVENTS / sizeof *EVENTS;
        while (i < known && strcmp(kind, EVENTS[i].name)) i++;
        if (i == known) return "no such event";
        happening->type = EVENTS[i].type;
    }
    gpu->happenings++;
    return NULL;
}

static const char *parse_hang(struct gpu *gpu, const char *rest) {
    struct hang *hang = &gpu->hang[gpu->hangs];
    char name[48];
    if (gpu->hangs == MAX_HANGS) return "too many hangs on one GPU";
    if (sscanf(rest, "%47s %lf %lf", name, &hang->at, &hang->seconds) != 3)
        return "a hang is: FIELD TIME SECONDS";
    hang->field = field_named(name);
    if (hang->field < 0) return "no such field";
    gpu->hangs++;
    return NULL;
}

static const char *parse_mig(struct gpu *gpu, char *rest) {
    struct mig *mig = &gpu->mig[gpu->migs];
    char bytes[32], used[32];
    if (gpu->migs == MAX_MIG) return "too many MIG devices on one GPU";
    if (sscanf(rest, "%47s %31s %31s %u", mig->profile, bytes, used, &mig->sms) != 4
        || !number(bytes, &mig->bytes) || !number(used, &mig->used))
        return "a MIG device is: PROFILE BYTES USED SMS";
    mig->index = gpu->migs;
    mig->parent = gpu;
    snprintf(mig->uuid, sizeof mig->uuid, "MIG-%08d-5350-4b00-8000-%012d", gpu->index, mig->index);
    gpu->migs++;
    return NULL;
}

static const char *parse_like(struct gpu *gpu, const char *rest) {
    int other = atoi(rest);
    if (other < 0 || other >= gpu->index) return "like names a GPU above";
    memcpy(gpu->tracks, state.gpu[other].tracks, sizeof gpu->tracks);
    gpu->to_switch = state.gpu[other].to_switch;
    memcpy(gpu->vbios, state.gpu[other].vbios, sizeof gpu->vbios);
    memcpy(gpu->part, state.gpu[other].part, sizeof gpu->part);
    memcpy(gpu->inforom, state.gpu[other].inforom, sizeof gpu->inforom);
    memcpy(gpu->cpus, state.gpu[other].cpus, sizeof gpu->cpus);
    return NULL;
}

static const char *parse_gpu_line(struct gpu *gpu, const char *key, char *rest) {
    const struct { const char *name; char *into; size_t size; } texts[] = {
        {"uuid", gpu->uuid, sizeof gpu->uuid}, {"serial", gpu->serial, sizeof gpu->serial},
        {"vbios", gpu->vbios, sizeof gpu->vbios}, {"part", gpu->part, sizeof gpu->part},
        {"inforom", gpu->inforom, sizeof gpu->inforom}, {"pci", gpu->pci, sizeof gpu->pci},
        {"cpus", gpu->cpus, sizeof gpu->cpus},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].name)) {
            snprintf(texts[i].into, texts[i].size, "%s", rest);
            return NULL;
        }
    if (!strcmp(key, "nvlink_to")) { gpu->to_switch = !strcmp(rest, "switch"); return NULL; }
    if (!strcmp(key, "like")) return parse_like(gpu, rest);
    if (!strcmp(key, "process")) return parse_process(gpu, rest);
    if (!strcmp(key, "accounted")) return parse_accounted(gpu, rest);
    if (!strcmp(key, "hang")) return parse_hang(gpu, rest);
    if (!strcmp(key, "mig")) return parse_mig(gpu, rest);
    if (!strcmp(key, "xid") || !strcmp(key, "event"))
        return parse_happening(gpu, !strcmp(key, "xid"), rest);
    int field = field_named(key);
    return field < 0 ? "no such field" : parse_track(gpu, field, rest);
}

static const char *parse_line(const char *key, char *rest) {
    if (!strcmp(key, "driver")) { snprintf(state.driver, sizeof state.driver, "%s", rest); return NULL; }
    if (!strcmp(key, "nvml")) { snprintf(state.nvml, sizeof state.nvml, "%s", rest); return NULL; }
    if (!strcmp(key, "cuda")) { state.cuda = atoi(rest); return NULL; }
    if (!strcmp(key, "loop")) { state.loop = !strcmp(rest, "yes"); return NULL; }
    if (!strcmp(key, "init")) {
        state.init = !strcmp(rest, "driver_not_loaded") ? DRIVER_NOT_LOADED
                   : !strcmp(rest, "no_permission") ? NO_PERMISSION
                   : !strcmp(rest, "version_mismatch") ? VERSION_MISMATCH : OK;
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
        snprintf(gpu->pci, sizeof gpu->pci, "00000000:%02X:00.0", 0x10 + gpu->index);
        state.gpus++;
        return NULL;
    }
    if (!state.gpus) return "that line belongs to a GPU; say gpu NAME first";
    return parse_gpu_line(&state.gpu[state.gpus - 1], key, rest);
}

nvmlReturn_t load(void) {
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
    const char *since = getenv("SPARKPLUG_GPUS_SINCE");
    state.loaded = monotonic();
    state.origin = since && atof(since) > 0 ? atof(since) : state.loaded;
    state.ready = 1;
    return OK;
}

/* ---- the script at this moment ---- */

double elapsed(void) { return monotonic() - state.origin; }

double script_time(void) {
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

int value_of(const struct gpu *gpu, int field, double *value) {
    if (mig_of(gpu)) return 0;
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
    switch (field) {
    case UTILIZATION: case MEMORY_BUS: case FAN: case ENCODER: case DECODER: case JPEG: case OFA:
        if (*value > 100) *value = 100;
    }
    return 1;
}

nvmlReturn_t alive(const struct gpu *gpu) {
    double lost;
    if (!state.ready) return UNINITIALIZED;
    struct mig *mig = mig_of(gpu);
    if (mig) gpu = mig->parent;
    if (gpu < state.gpu || gpu >= state.gpu + state.gpus) return INVALID_ARGUMENT;
    return value_of(gpu, LOST, &lost) && lost > 0 ? GPU_IS_LOST : OK;
}

/* Blocks while the script says that the call that reads this field hangs. */
static void hang(const struct gpu *gpu, int field) {
    for (int i = 0; i < gpu->hangs; i++) {
        const struct hang *hang = &gpu->hang[i];
        if (hang->field != field) continue;
        while (elapsed() >= hang->at && elapsed() < hang->at + hang->seconds) usleep(20000);
    }
}

double counted(const struct gpu *gpu, struct counter *counter, int field) {
    double now = elapsed(), rate;
    if (value_of(gpu, field, &rate)) counter->value += rate * (now - counter->at);
    counter->at = now;
    return counter->value;
}

struct mig *mig_of(const void *handle) {
    for (int g = 0; g < state.gpus; g++)
        for (int m = 0; m < state.gpu[g].migs; m++)
            if (handle == &state.gpu[g].mig[m]) return &state.gpu[g].mig[m];
    return NULL;
}

nvmlReturn_t metric(const struct gpu *gpu, int field, double factor, unsigned *into) {
    double value;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (mig_of(gpu)) return NOT_SUPPORTED;
    hang(gpu, field);
    if (!value_of(gpu, field, &value)) return NOT_SUPPORTED;
    *into = (unsigned)(value * factor + 0.5);
    return OK;
}

nvmlReturn_t text(const char *value, char *into, unsigned length) {
    if (!state.ready) return UNINITIALIZED;
    if (strlen(value) >= length) return INSUFFICIENT_SIZE;
    strcpy(into, value);
    return OK;
}
