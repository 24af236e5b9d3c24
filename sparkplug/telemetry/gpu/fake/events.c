/* Events: what a set was registered for, as it happens. */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "scenario.h"

struct event { struct gpu *gpu; u64 type, data; unsigned gpu_instance, compute_instance; };
/* Every kind but clocks and performance states, which change with each breath. */
enum { OFFERED = 0xFF8B };
struct event_set { unsigned registered; u64 types[MAX_GPUS]; double delivered[MAX_GPUS][MAX_EVENTS]; };
/* A process that takes another's place is not told again what that one was told. */
#define NEW_SECONDS 2.0
/* A wait sleeps until the next event is due, as a driver's does, and so long at most: what is
 * registered meanwhile, and the end of all, are to be seen too. */
#define NAP_SECONDS 0.25

EXPORT nvmlReturn_t nvmlEventSetCreate(struct event_set **into) {
    if (!state.ready) return UNINITIALIZED;
    *into = calloc(1, sizeof **into);
    if (!*into) return UNKNOWN;
    for (int g = 0; g < MAX_GPUS; g++)
        for (int x = 0; x < MAX_EVENTS; x++) {
            double began = state.loaded - state.origin, at = state.gpu[g].happening[x].at;
            (*into)->delivered[g][x] = began > NEW_SECONDS && at < began ? at : -1;
        }
    return OK;
}
EXPORT nvmlReturn_t nvmlEventSetFree(struct event_set *set) { free(set); return OK; }
EXPORT nvmlReturn_t nvmlDeviceGetSupportedEventTypes(struct gpu *gpu, u64 *into) {
    nvmlReturn_t code = alive(gpu);
    if (code == OK) *into = OFFERED;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(struct gpu *gpu, u64 types, struct event_set *set) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (types & ~(u64)OFFERED) return NOT_SUPPORTED;
    set->types[gpu->index] |= types;
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
        double now = elapsed(), next = now + NAP_SECONDS, left;
        if (!state.ready) return UNINITIALIZED;
        for (int g = 0; g < state.gpus; g++) {
            struct gpu *gpu = &state.gpu[g];
            for (int x = 0; set->registered & (1u << g) && x < gpu->happenings; x++) {
                const struct happening *happening = &gpu->happening[x];
                double due = next_due(happening->at, set->delivered[g][x]);
                if (!(happening->type & set->types[g])) continue;
                if (due > now) {
                    next = fmin(next, due);
                    continue;
                }
                set->delivered[g][x] = due;
                *into = (struct event){gpu, happening->type, happening->data, ~0u, ~0u};
                return OK;
            }
        }
        left = until - monotonic();
        if (left <= 0) return TIMEOUT;
        usleep((useconds_t)(1e6 * fmin(left, next - now)) + 1);
    }
}
EXPORT nvmlReturn_t nvmlEventSetWait(struct event_set *set, struct event *into, unsigned timeout_ms) { return nvmlEventSetWait_v2(set, into, timeout_ms); }
