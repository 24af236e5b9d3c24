/* The library itself, its devices, and what is measured on each. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenario.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Tells that this library is the stand-in; the value is the version of the scenario form. */
EXPORT int sparkplug_fake_nvml = 2;

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
    case NO_PERMISSION: return "Insufficient Permissions";
    case TIMEOUT: return "Timeout";
    case VERSION_MISMATCH: return "Driver/library version mismatch";
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
EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **into) {
    if (!state.ready) return UNINITIALIZED;
    for (int g = 0; g < state.gpus; g++)
        if (!strcmp(state.gpu[g].uuid, uuid)) { *into = &state.gpu[g]; return alive(*into); }
    return NOT_FOUND;
}
EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, struct gpu **into) { return nvmlDeviceGetHandleByIndex_v2(index, into); }
EXPORT nvmlReturn_t nvmlDeviceGetName(struct gpu *gpu, char *into, unsigned length) {
    nvmlReturn_t code = alive(gpu);
    struct mig *mig = mig_of(gpu);
    char name[160];
    if (code != OK) return code;
    if (!mig) return text(gpu->name, into, length);
    snprintf(name, sizeof name, "%s MIG %s", mig->parent->name, mig->profile);
    return text(name, into, length);
}
EXPORT nvmlReturn_t nvmlDeviceGetUUID(struct gpu *gpu, char *into, unsigned length) {
    nvmlReturn_t code = alive(gpu);
    struct mig *mig = mig_of(gpu);
    return code == OK ? text(mig ? mig->uuid : gpu->uuid, into, length) : code;
}
static nvmlReturn_t given(const struct gpu *gpu, const char *value, char *into, unsigned length) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    return *value ? text(value, into, length) : NOT_SUPPORTED;
}
EXPORT nvmlReturn_t nvmlDeviceGetSerial(struct gpu *gpu, char *into, unsigned length) { return given(gpu, gpu->serial, into, length); }
EXPORT nvmlReturn_t nvmlDeviceGetVbiosVersion(struct gpu *gpu, char *into, unsigned length) { return given(gpu, gpu->vbios, into, length); }
EXPORT nvmlReturn_t nvmlDeviceGetBoardPartNumber(struct gpu *gpu, char *into, unsigned length) { return given(gpu, gpu->part, into, length); }
EXPORT nvmlReturn_t nvmlDeviceGetInforomImageVersion(struct gpu *gpu, char *into, unsigned length) { return given(gpu, gpu->inforom, into, length); }
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
    unsigned ignored;
    struct mig *mig = mig_of(gpu);
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (mig) {
        *into = (struct memory_v2){into->version, (u64)mig->bytes, 0, (u64)(mig->bytes - mig->used), (u64)mig->used};
        return OK;
    }
    code = metric(gpu, MEMORY_TOTAL, 0, &ignored);
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
    static const int fields[] = {SHUTDOWN, SLOWDOWN, MEMORY_TEMPERATURE_MAX};
    return kind < 3 ? metric(gpu, fields[kind], 1, into) : NOT_SUPPORTED;
}
struct margin { unsigned version; int margin; };
EXPORT nvmlReturn_t nvmlDeviceGetMarginTemperature(struct gpu *gpu, struct margin *into) {
    unsigned margin;
    nvmlReturn_t code = metric(gpu, TEMPERATURE_MARGIN, 1, &margin);
    if (code == OK) into->margin = (int)margin;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetClockInfo(struct gpu *gpu, unsigned kind, unsigned *into) {
    static const int fields[] = {GRAPHICS_CLOCK, SM_CLOCK, MEMORY_CLOCK, VIDEO_CLOCK};
    return kind < 4 ? metric(gpu, fields[kind], 1, into) : INVALID_ARGUMENT;
}
EXPORT nvmlReturn_t nvmlDeviceGetMaxClockInfo(struct gpu *gpu, unsigned kind, unsigned *into) {
    return kind == 1 ? metric(gpu, SM_CLOCK_MAX, 1, into)
         : kind == 2 ? metric(gpu, MEMORY_CLOCK_MAX, 1, into) : NOT_SUPPORTED;
}
EXPORT nvmlReturn_t nvmlDeviceGetPerformanceState(struct gpu *gpu, unsigned *into) { return metric(gpu, PSTATE, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetComputeMode(struct gpu *gpu, unsigned *into) { return metric(gpu, COMPUTE_MODE, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetPersistenceMode(struct gpu *gpu, unsigned *into) { return metric(gpu, PERSISTENCE, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetDisplayActive(struct gpu *gpu, unsigned *into) { return metric(gpu, DISPLAY, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetAccountingMode(struct gpu *gpu, unsigned *into) { return metric(gpu, ACCOUNTING, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetNumGpuCores(struct gpu *gpu, unsigned *into) { return metric(gpu, CORES, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetCudaComputeCapability(struct gpu *gpu, int *major, int *minor) {
    unsigned tenths;
    nvmlReturn_t code = metric(gpu, CAPABILITY, 10, &tenths);
    if (code == OK) { *major = (int)tenths / 10; *minor = (int)tenths % 10; }
    return code;
}

static nvmlReturn_t engine(struct gpu *gpu, int field, unsigned *into, unsigned *period) {
    *period = 1000000;
    return metric(gpu, field, 1, into);
}
EXPORT nvmlReturn_t nvmlDeviceGetEncoderUtilization(struct gpu *gpu, unsigned *into, unsigned *period) { return engine(gpu, ENCODER, into, period); }
EXPORT nvmlReturn_t nvmlDeviceGetDecoderUtilization(struct gpu *gpu, unsigned *into, unsigned *period) { return engine(gpu, DECODER, into, period); }
EXPORT nvmlReturn_t nvmlDeviceGetJpgUtilization(struct gpu *gpu, unsigned *into, unsigned *period) { return engine(gpu, JPEG, into, period); }
EXPORT nvmlReturn_t nvmlDeviceGetOfaUtilization(struct gpu *gpu, unsigned *into, unsigned *period) { return engine(gpu, OFA, into, period); }

struct bar1 { u64 total, free, used; };
EXPORT nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(struct gpu *gpu, struct bar1 *into) {
    double total, used;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (!value_of(gpu, BAR1_TOTAL, &total) || !value_of(gpu, BAR1_USED, &used)) return NOT_SUPPORTED;
    *into = (struct bar1){(u64)total, (u64)(total - used), (u64)used};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementLimit(struct gpu *gpu, unsigned *into) { return metric(gpu, POWER_LIMIT, 1000, into); }
EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(struct gpu *gpu, unsigned *into) { return metric(gpu, POWER_LIMIT_DEFAULT, 1000, into); }
EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(struct gpu *gpu, unsigned *least, unsigned *most) {
    nvmlReturn_t code = metric(gpu, POWER_LIMIT_MIN, 1000, least);
    return code == OK ? metric(gpu, POWER_LIMIT_MAX, 1000, most) : code;
}
EXPORT nvmlReturn_t nvmlDeviceSetPowerManagementLimit(struct gpu *gpu, unsigned milliwatts) {
    double settable, least, most, watts = milliwatts / 1000.0;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (!value_of(gpu, POWER_LIMIT_MIN, &least) || !value_of(gpu, POWER_LIMIT_MAX, &most)) return NOT_SUPPORTED;
    if (!value_of(gpu, POWER_SETTABLE, &settable) || settable <= 0) return NO_PERMISSION;
    if (watts < least || watts > most) return INVALID_ARGUMENT;
    gpu->tracks[POWER_LIMIT] = (struct track){.frames = 1, .value = {watts}};
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(struct gpu *gpu, u64 *into) {
    double before;
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (!value_of(gpu, ENERGY, &before)) return NOT_SUPPORTED;
    *into = (u64)(1000 * (before + counted(gpu, &gpu->energy, POWER)));
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed(struct gpu *gpu, unsigned *into) { return metric(gpu, FAN, 1, into); }

EXPORT nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(struct gpu *gpu, u64 *into) {
    unsigned bits;
    nvmlReturn_t code = metric(gpu, CLOCK_REASONS, 1, &bits);
    if (code == OK) *into = bits;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(struct gpu *gpu, u64 *into) { return nvmlDeviceGetCurrentClocksEventReasons(gpu, into); }

EXPORT nvmlReturn_t nvmlDeviceGetEccMode(struct gpu *gpu, unsigned *current, unsigned *pending) {
    nvmlReturn_t code = metric(gpu, ECC_MODE, 1, current);
    if (code == OK) *pending = *current;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(struct gpu *gpu, unsigned kind, unsigned counter, u64 *into) {
    static const int fields[2][2] = {{ECC_CORRECTED, ECC_CORRECTED_EVER}, {ECC_UNCORRECTED, ECC_UNCORRECTED_EVER}};
    unsigned count;
    if (kind > 1 || counter > 1) return INVALID_ARGUMENT;
    nvmlReturn_t code = metric(gpu, fields[kind][counter], 1, &count);
    if (code == OK) *into = count;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows(struct gpu *gpu, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    nvmlReturn_t code = metric(gpu, REMAP_PENDING, 1, pending);
    if (code != OK) return code;
    if (metric(gpu, REMAP_CORRECTED, 1, corrected) != OK) *corrected = 0;
    if (metric(gpu, REMAP_UNCORRECTED, 1, uncorrected) != OK) *uncorrected = *pending;
    if (metric(gpu, REMAP_FAILED, 1, failed) != OK) *failed = 0;
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages(struct gpu *gpu, unsigned cause, unsigned *count, u64 *into) {
    unsigned pages, room = into ? *count : 0;
    nvmlReturn_t code = metric(gpu, cause == 0 ? RETIRED_SINGLE : RETIRED_DOUBLE, 1, &pages);
    if (code != OK) return code;
    for (unsigned i = 0; i < pages && i < room; i++) into[i] = 0x10000ull * (i + 1);
    *count = pages;
    return pages > room ? INSUFFICIENT_SIZE : OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(struct gpu *gpu, unsigned *into) { return metric(gpu, RETIRED_PENDING, 1, into); }

/* ---- MIG ---- */

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(struct gpu *gpu, unsigned *current, unsigned *pending) {
    nvmlReturn_t code = metric(gpu, MIG_MODE, 1, current);
    if (code == OK) *pending = *current;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(struct gpu *gpu, unsigned *into) {
    nvmlReturn_t code = metric(gpu, MIG_MODE, 0, into);
    if (code == OK) *into = 7;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(struct gpu *gpu, unsigned index, void **into) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (index >= (unsigned)gpu->migs) return NOT_FOUND;
    *into = &gpu->mig[index];
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(void *handle, unsigned *into) { *into = mig_of(handle) != NULL; return OK; }
static nvmlReturn_t instance(void *handle, int by, unsigned *into) {
    struct mig *mig = mig_of(handle);
    if (!mig) return INVALID_ARGUMENT;
    *into = by ? (unsigned)mig->index + 1 : 0;
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(void *handle, unsigned *into) { return instance(handle, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetComputeInstanceId(void *handle, unsigned *into) { return instance(handle, 0, into); }
struct attributes { unsigned sms, copies, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices; u64 megabytes; };
EXPORT nvmlReturn_t nvmlDeviceGetAttributes_v2(void *handle, struct attributes *into) {
    struct mig *mig = mig_of(handle);
    if (!mig) return NOT_SUPPORTED;
    unsigned slices = (unsigned)atoi(mig->profile);
    *into = (struct attributes){mig->sms, 1, 0, 0, 0, 0, slices, slices, (u64)(mig->bytes / 1048576)};
    return OK;
}
