/* An NVML without GPUs: what railgauge.hardware.links asks for, answered from environment variables.
 *
 * FAKE_NVML_GPUS        how many there are (2); GPU k is 0000:1k:00.0
 * FAKE_NVML_TOPOLOGY    nvswitch (default), direct (links dealt to the other GPUs in turn), pcie
 * FAKE_NVML_LINKS       NVLinks of each GPU (18)
 * FAKE_NVML_DEAD        inactive links as GPU:LINK,...
 * FAKE_NVML_SPEED       MB/s of a link (26562), 0: the fields are not supported
 * FAKE_NVML_SPEED_FIELD the one field that answers (164, NVML_FI_DEV_NVLINK_GET_SPEED)
 * FAKE_NVML_VERSION     the code of the NVLink version (7)
 * FAKE_NVML_HIDDEN      1: switches have no PCI address, as in a guest
 * FAKE_NVML_CAPABILITY  as 90 (default) for 9.0
 * FAKE_NVML_FABRIC      cluster UUID, 32 hexadecimal digits; unset: not supported
 * FAKE_NVML_CLIQUE, FAKE_NVML_STATE   of the fabric (0, 3: completed)
 * FAKE_NVML_PCIE        generation:width now (5:16); at most 5:16
 * FAKE_NVML_PSTATE      performance state (0)
 * FAKE_NVML_MIG         0, 1; unset: not supported
 * FAKE_NVML_C2C         links:MB/s
 * FAKE_NVML_LOST        a GPU that is lost
 * FAKE_NVML_INIT        what nvmlInit returns (0)
 * FAKE_NVML_MEMORY      0: no memory clock
 * FAKE_NVML_VALUES      more field values, GPU:FIELD:SCOPE=VALUE,...; the last of a field counts
 * FAKE_NVML_FILLED      FIRST:LAST: so have all other fields from one number to another
 * FAKE_NVML_FIELDS_CODE what nvmlDeviceGetFieldValues returns (0)
 * FAKE_NVML_POWER       mW (unset: not supported), FAKE_NVML_CELSIUS (40), FAKE_NVML_SM_CLOCK (1980)
 * FAKE_NVML_REASONS     mask of clocks event reasons (0), by its name before driver 535 if
 *                       FAKE_NVML_THROTTLE is 1
 * FAKE_NVML_XIDS        GPU:XID,...: events so far; those that are new are handed out
 * FAKE_NVML_EVENTS      what registering for events returns (0)
 *
 * Structures and numbers as in NVIDIA's nvml.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, TIMEOUT = 10, GPU_IS_LOST = 15 };
enum { GPU = 0, SWITCH = 2 };
enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3, CLOCK_SM = 1, CLOCK_MEM = 2, XID = 8 };
enum { NVLINK_GET_SPEED = 164, C2C_LINK_COUNT = 170, C2C_LINK_GET_MAX_BW = 172 };

typedef struct {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char bus_id[32];
} Pci;

typedef struct {
  unsigned long long total, free, used;
} Memory;

typedef struct {
  unsigned field, scope;
  long long timestamp, latency;
  unsigned type;
  int result;
  union {
    double d;
    unsigned ui;
    unsigned long long ull;
  } value;
} FieldValue;

typedef struct {
  unsigned version;
  unsigned char cluster[16];
  int status;
  unsigned clique, state, health;
} Fabric;

static unsigned number(const char *name, unsigned otherwise) {
  const char *text = getenv(name);
  return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static int pair(const char *name, unsigned *first, unsigned *second) {
  const char *text = getenv(name);
  return text && sscanf(text, "%u:%u", first, second) == 2;
}

static unsigned count(void) { return number("FAKE_NVML_GPUS", 2); }

static int topology(const char *name) {
  const char *text = getenv("FAKE_NVML_TOPOLOGY");
  return !strcmp(text ? text : "nvswitch", name);
}

/* a handle is the GPU's index + 1 */
static unsigned index_of(void *handle) { return (unsigned)(size_t)handle - 1; }

static int link_result(unsigned link) {
  if (topology("pcie")) return NOT_SUPPORTED;
  return link < number("FAKE_NVML_LINKS", 18) ? SUCCESS : INVALID_ARGUMENT;
}

static int dead(unsigned gpu, unsigned link) {
  const char *text = getenv("FAKE_NVML_DEAD");
  for (; text && *text; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL) {
    unsigned dead_gpu, dead_link;
    if (sscanf(text, "%u:%u", &dead_gpu, &dead_link) == 2 && dead_gpu == gpu && dead_link == link)
      return 1;
  }
  return 0;
}

static void address(Pci *pci, unsigned bus) {
  memset(pci, 0, sizeof *pci);
  pci->bus = bus;
  snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", bus);
  snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", bus);
}

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  return (int)number("FAKE_NVML_INIT", SUCCESS);
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int result) {
  (void)result;
  return "an error of the fake NVML";
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
  snprintf(version, length, "580.95.05");
  return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *found) {
  *found = count();
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  if (index == number("FAKE_NVML_LOST", ~0u)) return GPU_IS_LOST;
  *handle = (void *)(size_t)(index + 1);
  return SUCCESS;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
  (void)handle;
  snprintf(name, length, "NVIDIA H100 80GB HBM3");
  return SUCCESS;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
  snprintf(uuid, length, "GPU-00000000-0000-0000-0000-%012u", index_of(handle));
  return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(void *handle, Pci *pci) {
  address(pci, 0x10 + index_of(handle));
  return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
  int both = (int)number("FAKE_NVML_CAPABILITY", 90);
  (void)handle;
  *major = both / 10;
  *minor = both % 10;
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *handle, Memory *memory) {
  (void)handle;
  *memory = (Memory){.total = 80ull << 30, .free = 79ull << 30, .used = 1ull << 30};
  return SUCCESS;
}

int nvmlDeviceGetMaxClockInfo(void *handle, unsigned kind, unsigned *mhz) {
  (void)handle;
  if (kind != CLOCK_MEM) return INVALID_ARGUMENT;
  *mhz = 2619;
  return number("FAKE_NVML_MEMORY", 1) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetMemoryBusWidth(void *handle, unsigned *bits) {
  (void)handle;
  *bits = 5120;
  return SUCCESS;
}

int nvmlDeviceGetPerformanceState(void *handle, unsigned *state) {
  (void)handle;
  *state = number("FAKE_NVML_PSTATE", 0);
  return SUCCESS;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
  (void)handle;
  if (!getenv("FAKE_NVML_MIG")) return NOT_SUPPORTED;
  *current = *pending = number("FAKE_NVML_MIG", 0);
  return SUCCESS;
}

int nvmlDeviceGetMaxPcieLinkGeneration(void *handle, unsigned *generation) {
  (void)handle;
  *generation = 5;
  return SUCCESS;
}

int nvmlDeviceGetMaxPcieLinkWidth(void *handle, unsigned *width) {
  (void)handle;
  *width = 16;
  return SUCCESS;
}

int nvmlDeviceGetCurrPcieLinkGeneration(void *handle, unsigned *generation) {
  unsigned width;
  (void)handle;
  if (!pair("FAKE_NVML_PCIE", generation, &width)) *generation = 5;
  return SUCCESS;
}

int nvmlDeviceGetCurrPcieLinkWidth(void *handle, unsigned *width) {
  unsigned generation;
  (void)handle;
  if (!pair("FAKE_NVML_PCIE", &generation, width)) *width = 16;
  return SUCCESS;
}

int nvmlDeviceGetNvLinkState(void *handle, unsigned link, unsigned *active) {
  *active = !dead(index_of(handle), link);
  return link_result(link);
}

int nvmlDeviceGetNvLinkVersion(void *handle, unsigned link, unsigned *version) {
  (void)handle;
  *version = number("FAKE_NVML_VERSION", 7);
  return link_result(link);
}

int nvmlDeviceGetNvLinkRemoteDeviceType(void *handle, unsigned link, unsigned *type) {
  (void)handle;
  *type = topology("nvswitch") ? SWITCH : GPU;
  return link_result(link);
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *handle, unsigned link, Pci *pci) {
  if (topology("direct")) {
    unsigned peer = count() > 1 ? link % (count() - 1) : 0;
    address(pci, 0x10 + peer + (peer >= index_of(handle)));
  } else if (number("FAKE_NVML_HIDDEN", 0)) {
    address(pci, 0);
  } else {
    address(pci, 0xc0 + link % 4);
  }
  return link_result(link);
}

/* whether FAKE_NVML_VALUES has the field; its value */
static int listed(unsigned gpu, const FieldValue *asked, unsigned long long *value) {
  const char *text = getenv("FAKE_NVML_VALUES");
  int found = 0;
  for (; text && *text; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL) {
    unsigned long long number;
    unsigned of, field, scope;
    if (sscanf(text, "%u:%u:%u=%llu", &of, &field, &scope, &number) == 4 && of == gpu &&
        field == asked->field && scope == asked->scope) {
      *value = number;
      found = 1;
    }
  }
  return found;
}

int nvmlDeviceGetFieldValues(void *handle, int length, FieldValue *values) {
  unsigned links = 0, speed = 0, first = 1, last = 0;
  int filled = pair("FAKE_NVML_FILLED", &first, &last);
  int c2c = pair("FAKE_NVML_C2C", &links, &speed);
  if (number("FAKE_NVML_FIELDS_CODE", 0)) return (int)number("FAKE_NVML_FIELDS_CODE", 0);
  for (int i = 0; i < length; i++) {
    FieldValue *value = &values[i];
    value->result = SUCCESS;
    value->type = UNSIGNED_INT;
    if (listed(index_of(handle), value, &value->value.ull))
      value->type = UNSIGNED_LONG_LONG;
    else if (c2c && value->field == C2C_LINK_COUNT)
      value->value.ui = links;
    else if (c2c && value->field == C2C_LINK_GET_MAX_BW)
      value->value.ui = speed;
    else if (value->field == NVLINK_GET_SPEED && link_result(value->scope))
      value->result = link_result(value->scope); /* its scope is the link */
    else if (value->field == number("FAKE_NVML_SPEED_FIELD", NVLINK_GET_SPEED) &&
             number("FAKE_NVML_SPEED", 1))
      value->value.ui = number("FAKE_NVML_SPEED", 26562);
    else if (filled && first <= value->field && value->field <= last)
      value->value.ui = 1000 * value->field + value->scope;
    else
      value->result = NOT_SUPPORTED;
  }
  return SUCCESS;
}

int nvmlDeviceGetGpuFabricInfoV(void *handle, Fabric *fabric) {
  const char *text = getenv("FAKE_NVML_FABRIC");
  (void)handle;
  if (!text) return NOT_SUPPORTED;
  for (int i = 0; i < 16; i++) {
    unsigned byte = 0;
    sscanf(text + 2 * i, "%2x", &byte);
    fabric->cluster[i] = (unsigned char)byte;
  }
  fabric->status = SUCCESS;
  fabric->clique = number("FAKE_NVML_CLIQUE", 0);
  fabric->state = number("FAKE_NVML_STATE", 3);
  return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
  (void)handle;
  *milliwatts = number("FAKE_NVML_POWER", 0);
  return getenv("FAKE_NVML_POWER") ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *celsius) {
  (void)handle;
  *celsius = number("FAKE_NVML_CELSIUS", 40);
  return sensor == 0 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetClockInfo(void *handle, unsigned kind, unsigned *mhz) {
  (void)handle;
  *mhz = kind == CLOCK_SM ? number("FAKE_NVML_SM_CLOCK", 1980) : 2619;
  return kind == CLOCK_SM || kind == CLOCK_MEM ? SUCCESS : INVALID_ARGUMENT;
}

static int reasons(int old, unsigned long long *mask) {
  *mask = number("FAKE_NVML_REASONS", 0);
  return (int)number("FAKE_NVML_THROTTLE", 0) == old ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *mask) {
  (void)handle;
  return reasons(0, mask);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *mask) {
  (void)handle;
  return reasons(1, mask);
}

typedef struct {
  void *device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
} Event;

int nvmlEventSetCreate(void **set) {
  static int one;
  *set = &one;
  return SUCCESS;
}

int nvmlEventSetFree(void *set) {
  (void)set;
  return SUCCESS;
}

int nvmlDeviceRegisterEvents(void *handle, unsigned long long types, void *set) {
  (void)handle;
  (void)set;
  return types == XID ? (int)number("FAKE_NVML_EVENTS", SUCCESS) : INVALID_ARGUMENT;
}

int nvmlEventSetWait_v2(void *set, Event *event, unsigned milliseconds) {
  static int told;
  const char *text = getenv("FAKE_NVML_XIDS");
  unsigned gpu, xid;
  (void)set;
  (void)milliseconds;
  for (int k = 0; text && *text; k++, text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL)
    if (k == told && sscanf(text, "%u:%u", &gpu, &xid) == 2) {
      told++;
      *event = (Event){.device = (void *)(size_t)(gpu + 1), .type = XID, .data = xid};
      return SUCCESS;
    }
  return TIMEOUT;
}
