/* The processes on a device. */
#define _GNU_SOURCE
#include <stddef.h>
#include <time.h>

#include "scenario.h"

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
    if (mig_of(gpu)) { *count = 0; return OK; }
    for (int p = 0; p < gpu->processes; p++) {
        const struct process *process = &gpu->process[p];
        if (!running(process)) continue;
        if (found < room && v1) ((struct process_info_v1 *)into)[found] = (struct process_info_v1){process->pid, process->bytes};
        else if (found < room) ((struct process_info *)into)[found] = (struct process_info){process->pid, process->bytes, gpu->migs ? (unsigned)(p % gpu->migs) + 1 : ~0u, gpu->migs ? 0 : ~0u};
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
