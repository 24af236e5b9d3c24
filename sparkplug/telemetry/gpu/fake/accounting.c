/* What the driver accounted of processes, while accounting mode is on. */
#define _GNU_SOURCE
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario.h"

enum { BUFFER = 4000 };

struct accounting_stats {
    unsigned gpu, memory;
    u64 most, time, start;
    unsigned running, reserved[5];
};

const char *parse_accounted(struct gpu *gpu, char *rest) {
    static const char *form = "an accounted process is: PID BYTES [gpu:] [memory:] [from:] [to:]";
    char *save = NULL, *pid = strtok_r(rest, " \t", &save), *size = strtok_r(NULL, " \t", &save),
         *word;
    double bytes;
    if (gpu->accounts == MAX_ACCOUNTS) return "too many accounted processes on one GPU";
    if (!size || !number(size, &bytes)) return form;
    struct account *account = &gpu->account[gpu->accounts];
    *account = (struct account){.pid = (unsigned)strtoul(pid, NULL, 10), .bytes = (u64)bytes,
                                .gpu = -1, .memory = -1, .from = 0, .to = INFINITY};
    if (!account->pid) return "that is no process id";
    while ((word = strtok_r(NULL, " \t", &save))) {
        char *colon = strchr(word, ':');
        if (!colon) return form;
        *colon++ = 0;
        double *into = !strcmp(word, "gpu") ? &account->gpu
                     : !strcmp(word, "memory") ? &account->memory
                     : !strcmp(word, "from") ? &account->from
                     : !strcmp(word, "to") ? &account->to : NULL;
        if (!into || !number(colon, into)) return form;
    }
    gpu->accounts++;
    return NULL;
}

static nvmlReturn_t on(struct gpu *gpu) {
    unsigned mode;
    nvmlReturn_t code = metric(gpu, ACCOUNTING, 1, &mode);
    return code != OK ? code : mode ? OK : NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingBufferSize(struct gpu *gpu, unsigned *size) {
    unsigned mode;
    nvmlReturn_t code = metric(gpu, ACCOUNTING, 1, &mode);
    if (code == OK) *size = BUFFER;
    return code;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingPids(struct gpu *gpu, unsigned *count, unsigned *pids) {
    unsigned found = 0, room = pids ? *count : 0;
    nvmlReturn_t code = on(gpu);
    if (code != OK) return code;
    for (int a = 0; a < gpu->accounts; a++) {
        if (elapsed() < gpu->account[a].from) continue;
        if (found < room) pids[found] = gpu->account[a].pid;
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}

static unsigned share(double percent) { return percent < 0 ? ~0u : (unsigned)(percent + 0.5); }

EXPORT nvmlReturn_t nvmlDeviceGetAccountingStats(struct gpu *gpu, unsigned pid, struct accounting_stats *into) {
    struct timespec now;
    nvmlReturn_t code = on(gpu);
    if (code != OK) return code;
    clock_gettime(CLOCK_REALTIME, &now);
    double began = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - elapsed();
    for (int a = 0; a < gpu->accounts; a++) {
        const struct account *account = &gpu->account[a];
        if (account->pid != pid || elapsed() < account->from) continue;
        int running = elapsed() < account->to;
        *into = (struct accounting_stats){
            .gpu = share(account->gpu), .memory = share(account->memory), .most = account->bytes,
            .time = running ? 0 : (u64)((account->to - account->from) * 1e3),
            .start = (u64)((began + account->from) * 1e6), .running = (unsigned)running,
        };
        return OK;
    }
    return NOT_FOUND;
}
