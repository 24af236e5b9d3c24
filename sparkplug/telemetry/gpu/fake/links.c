/* PCIe, NVLink, the fabric, what lies near what, field values and GPM. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenario.h"

/* ---- PCIe ---- */

struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };
EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(struct gpu *gpu, struct pci *into) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    memset(into, 0, sizeof *into);
    sscanf(gpu->pci, "%x:%x:%x", &into->domain, &into->bus, &into->device);
    snprintf(into->bus_id, sizeof into->bus_id, "%s", gpu->pci);
    snprintf(into->legacy, sizeof into->legacy, "%.15s", gpu->pci + 4);
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetPciInfo(struct gpu *gpu, struct pci *into) { return nvmlDeviceGetPciInfo_v3(gpu, into); }
EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, struct gpu **into) {
    if (!state.ready) return UNINITIALIZED;
    for (int g = 0; g < state.gpus; g++)
        if (!strcasecmp(state.gpu[g].pci, bus_id)) { *into = &state.gpu[g]; return alive(*into); }
    return NOT_FOUND;
}
EXPORT nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(struct gpu *gpu, unsigned *into) { return metric(gpu, PCIE_GENERATION, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(struct gpu *gpu, unsigned *into) { return metric(gpu, PCIE_GENERATION_MAX, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(struct gpu *gpu, unsigned *into) { return metric(gpu, PCIE_WIDTH, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(struct gpu *gpu, unsigned *into) { return metric(gpu, PCIE_WIDTH_MAX, 1, into); }
EXPORT nvmlReturn_t nvmlDeviceGetPcieReplayCounter(struct gpu *gpu, unsigned *into) { return metric(gpu, PCIE_REPLAYS, 1, into); }
/* The driver measures over 20 ms, and so long the call takes. Counters: 0 sent, 1 received. */
EXPORT nvmlReturn_t nvmlDeviceGetPcieThroughput(struct gpu *gpu, unsigned counter, unsigned *into) {
    if (counter > 1) return INVALID_ARGUMENT;
    usleep(20000);
    return metric(gpu, counter ? PCIE_RECEIVE : PCIE_TRANSMIT, 1.0 / 1024, into);
}

/* ---- NVLink ---- */

static nvmlReturn_t link_of(struct gpu *gpu, unsigned link, int *up) {
    unsigned links, down;
    nvmlReturn_t code = metric(gpu, NVLINKS, 1, &links);
    if (code != OK) return code;
    if (link >= links || link >= MAX_LINKS) return INVALID_ARGUMENT;
    if (metric(gpu, NVLINKS_DOWN, 1, &down) != OK) down = 0;
    *up = link >= down;
    return OK;
}
/* The GPU a link leads to where there is no switch: the others in turn. */
static struct gpu *peer(const struct gpu *gpu, unsigned link) {
    int others = state.gpus - 1;
    if (others < 1) return NULL;
    int which = (int)(link % (unsigned)others);
    return &state.gpu[which >= gpu->index ? which + 1 : which];
}
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkState(struct gpu *gpu, unsigned link, unsigned *into) {
    int up;
    nvmlReturn_t code = link_of(gpu, link, &up);
    if (code == OK) *into = (unsigned)up;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkVersion(struct gpu *gpu, unsigned link, unsigned *into) {
    int up;
    nvmlReturn_t code = link_of(gpu, link, &up);
    return code == OK ? metric(gpu, NVLINK_VERSION, 1, into) : code;
}
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(struct gpu *gpu, unsigned link, unsigned *into) {
    int up;
    nvmlReturn_t code = link_of(gpu, link, &up);
    if (code == OK) *into = gpu->to_switch ? 2 : 0;
    return code;
}
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(struct gpu *gpu, unsigned link, struct pci *into) {
    int up;
    nvmlReturn_t code = link_of(gpu, link, &up);
    struct gpu *other = peer(gpu, link);
    if (code != OK) return code;
    memset(into, 0, sizeof *into);
    if (gpu->to_switch) snprintf(into->bus_id, sizeof into->bus_id, "00000000:%02X:00.0", 0xA0 + link % 4);
    else if (other) snprintf(into->bus_id, sizeof into->bus_id, "%s", other->pci);
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(struct gpu *gpu, unsigned link, unsigned kind, u64 *into) {
    static const int fields[] = {NVLINK_REPLAY, NVLINK_RECOVERY, NVLINK_CRC};
    unsigned count;
    int up;
    nvmlReturn_t code = link_of(gpu, link, &up);
    if (code != OK) return code;
    if (kind > 2) return NOT_SUPPORTED;
    code = metric(gpu, fields[kind], 1, &count);
    /* The script counts for all links; the first of them has the errors. */
    if (code == OK) *into = link == 0 ? count : 0;
    return code;
}

/* ---- field values ---- */

union value { double d; unsigned ui; u64 ull; };
struct field_value { unsigned field, scope; long long time, latency; unsigned type; int code; union value value; };
enum { MEMORY_TEMP = 82, LINK_SENT = 138, LINK_RECEIVED = 139, LINK_SPEED = 164,
       POWER_INSTANT = 186 };

static nvmlReturn_t one_field(struct gpu *gpu, struct field_value *into) {
    unsigned whole, links;
    int up;
    into->type = 1;
    switch (into->field) {
    case MEMORY_TEMP:
        into->code = metric(gpu, MEMORY_TEMPERATURE, 1, &whole);
        break;
    case POWER_INSTANT:
        into->code = metric(gpu, POWER, 1000, &whole);
        break;
    case LINK_SPEED:
        into->code = metric(gpu, NVLINK_SPEED, 1.0 / 1e6, &whole);
        break;
    case LINK_SENT: case LINK_RECEIVED: {
        int received = into->field == LINK_RECEIVED;
        double rate;
        if (into->scope != ~0u && (into->code = link_of(gpu, into->scope, &up)) != OK) return into->code;
        into->code = metric(gpu, NVLINKS, 1, &links);
        if (into->code == OK && !value_of(gpu, received ? NVLINK_RECEIVE : NVLINK_TRANSMIT, &rate))
            into->code = NOT_SUPPORTED;
        if (into->code != OK) return into->code;
        double bytes = counted(gpu, received ? &gpu->received : &gpu->transmitted, received ? NVLINK_RECEIVE : NVLINK_TRANSMIT);
        into->type = 3;
        into->value.ull = (u64)(bytes / 1024 / (into->scope == ~0u ? 1 : links));
        return OK;
    }
    default:
        into->code = NOT_SUPPORTED;
    }
    if (into->code == OK) into->value.ull = whole;
    return into->code;
}
EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(struct gpu *gpu, int count, struct field_value *values) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    for (int i = 0; i < count; i++) one_field(gpu, &values[i]);
    return OK;
}

/* ---- the fabric ---- */

struct fabric { unsigned version; unsigned char cluster[16]; int status; unsigned clique; unsigned char state; unsigned mask; unsigned char summary; };
EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(struct gpu *gpu, struct fabric *into) {
    unsigned fabric_state, value;
    nvmlReturn_t code = metric(gpu, FABRIC_STATE, 1, &fabric_state);
    if (code != OK) return code;
    into->status = OK;
    memset(into->cluster, 0x5A, sizeof into->cluster);
    into->state = (unsigned char)fabric_state;
    into->clique = metric(gpu, FABRIC_CLIQUE, 1, &value) == OK ? value : 0;
    into->summary = metric(gpu, FABRIC_HEALTH, 1, &value) == OK ? (unsigned char)value : 1;
    into->mask = 0;
    return OK;
}

/* ---- what lies near what ---- */

static double place(const struct gpu *gpu, int field) {
    double value;
    return value_of(gpu, field, &value) ? value : 0;
}
EXPORT nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(struct gpu *one, struct gpu *other, unsigned *into) {
    nvmlReturn_t code = alive(one);
    if (code == OK) code = alive(other);
    if (code != OK) return code;
    if (place(one, NUMA) != place(other, NUMA)) *into = 50;
    else if (place(one, PCI_SWITCH) && place(one, PCI_SWITCH) == place(other, PCI_SWITCH)) *into = 10;
    else *into = 40;
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetP2PStatus(struct gpu *one, struct gpu *other, unsigned capability, unsigned *into) {
    unsigned links;
    nvmlReturn_t code = alive(one);
    if (code == OK) code = alive(other);
    if (code != OK) return code;
    int linked = metric(one, NVLINKS, 1, &links) == OK && links && metric(other, NVLINKS, 1, &links) == OK && links;
    if (capability == 2) *into = linked ? 0 : 5;
    else *into = linked || place(one, NUMA) == place(other, NUMA) ? 0 : 1;
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetCpuAffinity(struct gpu *gpu, unsigned words, unsigned long *into) {
    nvmlReturn_t code = alive(gpu);
    if (code != OK) return code;
    if (!*gpu->cpus) return NOT_SUPPORTED;
    memset(into, 0, words * sizeof *into);
    char copy[96], *save = NULL;
    snprintf(copy, sizeof copy, "%s", gpu->cpus);
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        unsigned from = 0, to = 0;
        int found = sscanf(part, "%u-%u", &from, &to);
        if (found < 2) to = from;
        for (unsigned cpu = from; cpu <= to && cpu / 64 < words; cpu++) into[cpu / 64] |= 1ul << (cpu % 64);
    }
    return OK;
}
EXPORT nvmlReturn_t nvmlDeviceGetMemoryAffinity(struct gpu *gpu, unsigned words, unsigned long *into, unsigned scope) {
    double node;
    nvmlReturn_t code = alive(gpu);
    (void)scope;
    if (code != OK) return code;
    if (!value_of(gpu, NUMA, &node)) return NOT_SUPPORTED;
    memset(into, 0, words * sizeof *into);
    into[0] = 1ul << (unsigned)node;
    return OK;
}

/* ---- GPM ---- */

struct gpm_sample { struct gpu *gpu; };
struct gpm_metric { unsigned id; int code; double value; const char *names[3]; };
struct gpm_get { unsigned version, count; struct gpm_sample *one, *two; struct gpm_metric metrics[]; };
struct gpm_support { unsigned version, supported; };

static const struct { unsigned id; int field; } GPM[] = {
    {1, GPM_GRAPHICS}, {2, GPM_SM}, {3, GPM_OCCUPANCY}, {5, GPM_TENSOR}, {10, GPM_DRAM},
    {11, GPM_FP64}, {12, GPM_FP32}, {13, GPM_FP16},
};

EXPORT nvmlReturn_t nvmlGpmQueryDeviceSupport(struct gpu *gpu, struct gpm_support *into) {
    double value;
    nvmlReturn_t code = alive(gpu);
    if (code == OK) into->supported = (unsigned)value_of(gpu, GPM_SM, &value);
    return code;
}
EXPORT nvmlReturn_t nvmlGpmSampleAlloc(struct gpm_sample **into) {
    *into = calloc(1, sizeof **into);
    return *into ? OK : UNKNOWN;
}
EXPORT nvmlReturn_t nvmlGpmSampleFree(struct gpm_sample *sample) { free(sample); return OK; }
EXPORT nvmlReturn_t nvmlGpmSampleGet(struct gpu *gpu, struct gpm_sample *sample) {
    nvmlReturn_t code = alive(gpu);
    if (code == OK) sample->gpu = gpu;
    return code;
}
EXPORT nvmlReturn_t nvmlGpmMetricsGet(struct gpm_get *get) {
    if (!get->one || !get->two || !get->two->gpu) return INVALID_ARGUMENT;
    for (unsigned i = 0; i < get->count; i++) {
        struct gpm_metric *into = &get->metrics[i];
        into->code = NOT_SUPPORTED;
        for (size_t m = 0; m < sizeof GPM / sizeof *GPM; m++)
            if (GPM[m].id == into->id && value_of(get->two->gpu, GPM[m].field, &into->value)) into->code = OK;
    }
    return OK;
}
