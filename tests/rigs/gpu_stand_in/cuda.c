// A driver whose devices are this machine's memory and threads: enough of libcuda.so.1 to run
// programs.
#define _GNU_SOURCE
#include "fields.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
typedef long long i64;
typedef unsigned long long u64;
typedef void (*work)(void *);
enum { OK = 0, INVALID = 1, OOM = 2, NOT_READY = 600, NOT_FOUND = 500, NO_DEVICE = 100 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static i64 number(const char *name, i64 other) {
    const char *t = getenv(name);
    return t && *t ? atoll(t) : other;
}
static i64 nanos(clockid_t c) {
    struct timespec t;
    clock_gettime(c, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
// FAKE_GPU_FAULT=function:nth:code
static int fault(const char *name) {
    static int seen;
    const char *t = getenv("FAKE_GPU_FAULT");
    size_t n = strlen(name);
    int nth, code;
    if (!t || strncmp(t, name, n) || t[n] != ':' || sscanf(t + n + 1, "%d:%d", &nth, &code) != 2)
        return 0;
    return __sync_add_and_fetch(&seen, 1) >= nth ? code : 0;
}
#define FAULT                                                                                      \
    {                                                                                              \
        int f_ = fault(__func__);                                                                  \
        if (f_) return f_;                                                                         \
    }
// memory
typedef struct {
    char *at;
    size_t size;
    int fd;
    int host;
} area;
static area areas[65536];
static int many;
static i64 taken;
static char *take(size_t n, int host, int fd) {
    size_t size = (n + 4095) & ~4095ul;
    if (fd < 0) {
        fd = memfd_create("gpu", 0);
        if (ftruncate(fd, size)) return 0;
    }
    char *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return 0;
    pthread_mutex_lock(&lock);
    int k = 0;
    while (k < many && areas[k].at) k++;
    if (k == many) many++;
    areas[k] = (area){at, size, fd, host};
    if (!host) taken += size;
    pthread_mutex_unlock(&lock);
    return at;
}
static area *find(const char *p) {
    for (int k = 0; k < many; k++)
        if (areas[k].at && p >= areas[k].at && p < areas[k].at + areas[k].size) return &areas[k];
    return 0;
}
static int drop(char *p) {
    area *a = find(p);
    if (!a) return INVALID;
    pthread_mutex_lock(&lock);
    munmap(a->at, a->size);
    close(a->fd);
    if (!a->host) taken -= a->size;
    a->at = 0;
    pthread_mutex_unlock(&lock);
    return OK;
}
int fake_locate(const char *p, int *fd, i64 *offset) {
    area *a = find(p);
    if (!a) return 0;
    *fd = a->fd;
    *offset = p - a->at;
    return 1;
}
// streams
typedef struct node {
    work run;
    void *args;
    struct node *next;
} node;
typedef struct {
    pthread_mutex_t m;
    pthread_cond_t c;
    node *head, *tail;
    int busy, end, capture;
    struct graph *into;
    pthread_t t;
    int error;
} stream;
typedef struct graph {
    node *head, *tail;
} graph;
static stream *null_stream;
static __thread stream *working;
static void *worker(void *p) {
    stream *s = working = p;
    pthread_mutex_lock(&s->m);
    for (;;) {
        while (!s->head && !s->end) pthread_cond_wait(&s->c, &s->m);
        if (!s->head) break;
        node *n = s->head;
        s->head = n->next;
        if (!s->head) s->tail = 0;
        s->busy = 1;
        pthread_mutex_unlock(&s->m);
        n->run(n->args);
        free(n->args);
        free(n);
        pthread_mutex_lock(&s->m);
        s->busy = 0;
        pthread_cond_broadcast(&s->c);
    }
    pthread_mutex_unlock(&s->m);
    return 0;
}
static stream *make_stream(void) {
    stream *s = calloc(1, sizeof *s);
    pthread_mutex_init(&s->m, 0);
    pthread_cond_init(&s->c, 0);
    pthread_create(&s->t, 0, worker, s);
    return s;
}
static stream *of(stream *s) {
    if ((u64)s > 2) return s;
    if (!null_stream) null_stream = make_stream();
    return null_stream;
}
void fake_error(int code) {
    if (working) working->error = code;
}
int fake_enqueue(void *to, work run, const void *args, size_t size) {
    stream *s = of(to);
    node *n = calloc(1, sizeof *n);
    n->run = run;
    n->args = malloc(size);
    memcpy(n->args, args, size);
    pthread_mutex_lock(&s->m);
    node **h = s->capture ? &s->into->head : &s->head, **t = s->capture ? &s->into->tail : &s->tail;
    if (*t)
        (*t)->next = n;
    else
        *h = n;
    *t = n;
    n->next = 0;
    pthread_cond_broadcast(&s->c);
    pthread_mutex_unlock(&s->m);
    return OK;
}
int cuStreamCreate(stream **s, unsigned f) {
    (void)f;
    *s = make_stream();
    return OK;
}
int cuStreamDestroy_v2(stream *s) {
    pthread_mutex_lock(&s->m);
    s->end = 1;
    pthread_cond_broadcast(&s->c);
    pthread_mutex_unlock(&s->m);
    pthread_join(s->t, 0);
    free(s);
    return OK;
}
int cuStreamSynchronize(stream *p) {
    FAULT stream *s = of(p);
    pthread_mutex_lock(&s->m);
    while (s->head || s->busy) pthread_cond_wait(&s->c, &s->m);
    int e = s->error;
    pthread_mutex_unlock(&s->m);
    return e;
}
int cuCtxSynchronize(void) { return cuStreamSynchronize(0); }
// events
typedef struct {
    i64 ns;
    volatile i64 done, asked;
} event;
typedef struct {
    event *e;
    i64 version;
} moment; // a wait is for what was recorded when it was asked for
int cuEventCreate(event **e, unsigned f) {
    (void)f;
    *e = calloc(1, sizeof(event));
    return OK;
}
int cuEventDestroy_v2(event *e) {
    (void)e;
    return OK;
}
static void reach(void *p) {
    moment *m = p;
    m->e->ns = nanos(CLOCK_MONOTONIC);
    __sync_synchronize();
    if (m->e->done < m->version) m->e->done = m->version;
}
int cuEventRecord(event *e, stream *s) {
    moment m = {e, ++e->asked};
    return fake_enqueue(s, reach, &m, sizeof m);
}
static void await(void *p) {
    moment *m = p;
    while (m->e->done < m->version) sched_yield();
}
int cuStreamWaitEvent(stream *s, event *e, unsigned f) {
    (void)f;
    moment m = {e, e->asked};
    return fake_enqueue(s, await, &m, sizeof m);
}
int cuEventSynchronize(event *e) {
    moment m = {e, e->asked};
    await(&m);
    return OK;
}
int cuEventElapsedTime_v2(float *ms, event *a, event *b) {
    if (a->done < a->asked || b->done < b->asked) return NOT_READY;
    *ms = (b->ns - a->ns) / 1e6f;
    return OK;
}
int cuEventElapsedTime(float *ms, event *a, event *b) { return cuEventElapsedTime_v2(ms, a, b); }
// graphs
int cuStreamBeginCapture_v2(stream *p, int mode) {
    (void)mode;
    stream *s = of(p);
    s->into = calloc(1, sizeof(graph));
    s->capture = 1;
    return OK;
}
int cuStreamEndCapture(stream *p, graph **g) {
    stream *s = of(p);
    s->capture = 0;
    *g = s->into;
    return OK;
}
int cuGraphInstantiateWithFlags(graph **x, graph *g, u64 f) {
    (void)f;
    *x = g;
    return OK;
}
static size_t msize(void *p) {
    extern size_t malloc_usable_size(void *);
    return malloc_usable_size(p);
}
int cuGraphLaunch(graph *g, stream *s) {
    for (node *n = g->head; n; n = n->next) fake_enqueue(s, n->run, n->args, msize(n->args));
    return OK;
}
int cuGraphExecDestroy(graph *g) {
    (void)g;
    return OK;
}
int cuGraphDestroy(graph *g) {
    (void)g;
    return OK;
}
// devices
int cuInit(unsigned f) {
    (void)f;
    FAULT return number("FAKE_GPU_COUNT", 4) ? OK : NO_DEVICE;
}
int cuDriverGetVersion(int *v) {
    *v = number("FAKE_GPU_DRIVER", 13000);
    return OK;
}
static int visible(int *list) {
    const char *t = getenv("CUDA_VISIBLE_DEVICES");
    int all = number("FAKE_GPU_COUNT", 4), n = 0;
    if (!t) {
        for (; n < all; n++) list[n] = n;
        return n;
    }
    while (*t) {
        list[n++] = strtol(t, (char **)&t, 10);
        if (*t == ',')
            t++;
        else
            break;
    }
    return n;
}
int cuDeviceGetCount(int *n) {
    int l[64];
    *n = visible(l);
    return OK;
}
int cuDeviceGet(int *d, int k) {
    int l[64];
    if (k < 0 || k >= visible(l)) return 101;
    *d = k;
    return OK;
}
static int real(int d) {
    int l[64];
    visible(l);
    return l[d];
}
int cuDeviceGetName(char *to, int n, int d) {
    const char *t = getenv("FAKE_GPU_NAMES");
    int k = real(d);
    if (!t) {
        snprintf(to, n, "Fake GPU");
        return OK;
    }
    while (k-- && strchr(t, ',')) t = strchr(t, ',') + 1;
    snprintf(to, n, "%.*s", (int)strcspn(t, ","), t);
    return OK;
}
int cuDeviceGetAttribute(int *v, int a, int d) {
    double c = 9.0;
    const char *t = getenv("FAKE_GPU_CAPABILITY");
    if (t) c = atof(t);
    *v = a == 75   ? (int)c
         : a == 76 ? (int)(c * 10 + .5) % 10
         : a == 16 ? 4
         : a == 41 ? 1
         : a == 33 ? 16 + real(d)
                   : 0;
    return OK;
}
int cuDeviceGetUuid_v2(char *u, int d) {
    memset(u, 0, 16);
    u[0] = 1 + real(d);
    return OK;
}
int cuDeviceGetUuid(char *u, int d) { return cuDeviceGetUuid_v2(u, d); }
int cuDeviceGetPCIBusId(char *to, int n, int d) {
    snprintf(to, n, "0000:%02X:00.0", 16 + real(d));
    return OK;
}
int cuDeviceTotalMem_v2(size_t *n, int d) {
    (void)d;
    *n = number("FAKE_GPU_MEMORY", 1 << 30);
    return OK;
}
static int current = -1;
int cuDevicePrimaryCtxRetain(void **c, int d) {
    *c = (void *)(i64)(d + 1);
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int d) {
    (void)d;
    return OK;
}
int cuCtxSetCurrent(void *c) {
    current = (i64)c - 1;
    return OK;
}
int cuCtxGetCurrent(void **c) {
    *c = (void *)(i64)(current + 1);
    return OK;
}
int cuCtxGetDevice(int *d) {
    *d = current;
    return OK;
}
int cuDeviceCanAccessPeer(int *can, int a, int b) {
    (void)a;
    (void)b;
    *can = number("FAKE_GPU_PEER", 1) != 0;
    return OK;
}
int cuCtxEnablePeerAccess(void *c, unsigned f) {
    (void)c;
    (void)f;
    FAULT return OK;
}
int fake_device(void) { return current < 0 ? 0 : real(current); }
int cuMemGetInfo_v2(size_t *f, size_t *n) {
    *n = number("FAKE_GPU_MEMORY", 1 << 30);
    *f = *n - taken;
    return OK;
}
int cuMemAlloc_v2(char **p, size_t n) {
    FAULT if (taken + (i64)n > number("FAKE_GPU_MEMORY", 1 << 30)) return OOM;
    *p = take(n, 0, -1);
    return *p ? OK : OOM;
}
int cuMemFree_v2(char *p) { return drop(p); }
int cuMemHostAlloc(char **p, size_t n, unsigned f) {
    (void)f;
    *p = take(n, 1, -1);
    return *p ? OK : OOM;
}
int cuMemFreeHost(char *p) { return drop(p); }
typedef struct {
    char *to;
    const char *from;
    size_t n;
    int byte;
} move;
static void do_copy(void *p) {
    move *m = p;
    memmove(m->to, m->from, m->n);
}
static void do_set(void *p) {
    move *m = p;
    memset(m->to, m->byte, m->n);
}
int cuMemcpyAsync(char *to, char *from, size_t n, stream *s) {
    FAULT move m = {to, from, n, 0};
    return fake_enqueue(s, do_copy, &m, sizeof m);
}
int cuMemcpyDtoDAsync_v2(char *t, char *f, size_t n, stream *s) {
    return cuMemcpyAsync(t, f, n, s);
}
int cuMemcpyHtoDAsync_v2(char *t, char *f, size_t n, stream *s) {
    return cuMemcpyAsync(t, f, n, s);
}
int cuMemcpyDtoHAsync_v2(char *t, char *f, size_t n, stream *s) {
    return cuMemcpyAsync(t, f, n, s);
}
int cuMemsetD8Async(char *to, unsigned char b, size_t n, stream *s) {
    move m = {to, 0, n, b};
    return fake_enqueue(s, do_set, &m, sizeof m);
}
typedef struct {
    char reserved[64];
} handle;
int cuIpcGetMemHandle(handle *h, char *p) {
    area *a = find(p);
    if (!a || number("FAKE_GPU_PEER", 1) == 0) return INVALID;
    snprintf(h->reserved, 64, "/proc/%d/fd/%d", getpid(), a->fd);
    return OK;
}
int cuIpcOpenMemHandle_v2(char **p, handle h, unsigned f) {
    (void)f;
    int fd = open(h.reserved, O_RDWR);
    if (fd < 0) return INVALID;
    *p = take(lseek(fd, 0, SEEK_END), 1, fd);
    return *p ? OK : INVALID;
}
int cuIpcCloseMemHandle(char *p) { return drop(p); }
int cuGetErrorName(int e, const char **t) {
    *t = e == OOM   ? "CUDA_ERROR_OUT_OF_MEMORY"
         : e == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
         : e        ? "CUDA_ERROR_FAKE"
                    : "CUDA_SUCCESS";
    return OK;
}
int cuGetErrorString(int e, const char **t) {
    *t = e == OOM ? "out of memory" : "a fake driver says so";
    return OK;
}
// the pattern: an independent twin of railgauge_kernels/pattern.py
typedef const i64 *rec;
static i64 mix(i64 v, i64 seed) {
    u64 x = ((u64)v ^ ((u64)v >> 32) ^ (u64)seed) & 0xFFFFFFFF;
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF;
    x = ((x ^ (x >> 15)) * 0x46CA68B1) & 0xFFFFFFFF;
    return x ^ (x >> 16);
}
static i64 below(i64 r, i64 n) { return (i64)(((u64)r * (u64)n) >> 32); }
static u64 moved(rec r, i64 rank, i64 i) {
    i64 key = mix(rank * 0x9E3779B + 1, r[SEED]);
    u64 low = mix(i, key);
    return ((u64)mix(low, key ^ 0x5BD1E995) << 32) | low;
}
static u64 encode(rec r, i64 m, int neg, i64 e) {
    i64 mb = r[MANTISSA_BITS];
    if (!mb) {
        u64 v = (u64)m << e;
        return neg ? -v : v;
    }
    if (!m) return 0;
    int lead = 63 - __builtin_clzll(m);
    u64 f = ((u64)m << (52 - lead)) & ((1ull << 52) - 1);
    f >>= 52 - mb;
    return ((u64)neg << (r[ITEM_BITS] - 1)) |
           ((u64)(lead + e + (1ll << (r[EXPONENT_BITS] - 1)) - 1) << mb) | f;
}
static u64 value(rec r, i64 rank, i64 i) {
    if (r[KIND] == P_MOVED) return moved(r, rank, i);
    i64 random = mix(i, r[SEED]), e = r[LOWEST] + (((random & 255) * r[SPREAD]) >> 8),
        choice = below(random, r[CHOICES]);
    int neg = r[SIGNED] & (random >> 8);
    if (rank < 0)
        return encode(r, r[TOTAL_FIRST] + r[TOTAL_STEP] * choice + r[SWING] * neg,
                      neg ^ r[TOTAL_SIGN], e + r[TOTAL_EXPONENT]);
    i64 rot = mix(random, 0x2545F491), pos = rank + below(rot, r[RANKS]);
    if (pos >= r[RANKS]) pos -= r[RANKS];
    if (r[KIND] == P_SUM) {
        i64 m = pos < r[ACTIVE] ? 1 + (pos & r[WEIGHT_MASK]) : 0;
        if (below(mix(rot, 0x38495AB5), r[RANKS]) == rank) m += r[FIRST] + r[STEP] * choice;
        return encode(r, m, neg, e + r[PREMULTIPLIED] * (1 - (rank & 1)));
    }
    if (r[KIND] == P_PROD)
        return encode(r, 1 + (pos == 0) * 2 * choice, r[FIRST] & pos,
                      (pos == 1) + (pos == 2) - r[CAP] * ((pos == 3) + (pos == 4)));
    return encode(r, r[FIRST] + choice + (pos > r[CAP] ? r[CAP] : pos), neg, e);
}
static u64 get(const char *p, int w) {
    u64 v = 0;
    memcpy(&v, p, w);
    return v;
}
static u64 narrow(u64 v, int w) { return w == 8 ? v : v & ((1ull << 8 * w) - 1); }
static int differs(rec r, u64 a, u64 b) {
    i64 d = (i64)(a - b);
    return a != b && (d < -r[TOLERANCE] || d > r[TOLERANCE]);
}
typedef struct {
    int kind, width, blocks, threads, parameters;
    void *function;
    i64 p[12];
} launch;
enum { FILL, CHECK, SETTLE, GUARD };
// all other kernels are those of the product, compiled for the CPU (tests/rigs/cuda_on_cpu)
void *on_cpu_find(const char *name, int *arity);
void on_cpu_launch(void *function, int blocks, int threads, int arity, const i64 *p);
static void run(void *arg) {
    launch *l = arg;
    i64 *p = l->p;
    int w = l->width;
    char *at = (char *)p[0];
    rec r = (rec)p[2];
    i64 *report = (i64 *)p[5];
    if (l->kind == FILL)
        for (i64 i = 0; i < p[1]; i++) {
            u64 v = value(r, p[3], p[4] + i) ^ (u64)p[5];
            memcpy(at + i * w, &v, w);
        }
    if (l->kind == CHECK)
        for (i64 i = 0; i < p[1]; i++)
            if (differs(r, get(at + i * w, w), narrow(value(r, p[3], p[4] + i), w))) {
                report[0]++;
                if ((i64)(at + i * w) < report[1]) report[1] = (i64)(at + i * w);
            }
    if (l->kind == SETTLE && report[1] >= p[0] && report[1] < p[0] + p[1] * w &&
        report[1] != report[4]) {
        i64 i = (report[1] - p[0]) / w;
        report[2] = narrow(value(r, p[3], p[4] + i), w);
        report[3] = get(at + i * w, w);
        report[4] = report[1];
    }
    if (l->kind == GUARD) {
        report = (i64 *)p[3];
        for (i64 i = 0; i < p[1]; i++)
            if ((unsigned char)at[i] != p[2]) {
                if (!report[0]++) {
                    report[1] = (i64)(at + i);
                    report[2] = p[2];
                    report[3] = (unsigned char)at[i];
                }
            }
    }
}
static void run_on_cpu(void *arg) {
    launch *l = arg;
    on_cpu_launch(l->function, l->blocks, l->threads, l->parameters, l->p);
    // FAKE_GPU_CORRUPT=kernel: a bit of what it writes to its first parameter
    const char *t = getenv("FAKE_GPU_CORRUPT");
    int arity;
    if (t && on_cpu_find(t, &arity) == l->function) *(char *)l->p[0] ^= 1;
}
typedef struct {
    int kind, width, parameters;
    void *function;
} kernel;
int cuModuleLoadData(void **m, const void *i) {
    (void)i;
    *m = (void *)1;
    return OK;
}
int cuModuleUnload(void *m) {
    (void)m;
    return OK;
}
int cuModuleGetFunction(kernel **f, void *m, const char *name) {
    (void)m;
    static const struct {
        const char *n;
        kernel k;
    } all[] = {{"fill_", {FILL, 0, 6, 0}},
               {"check_", {CHECK, 0, 6, 0}},
               {"settle_", {SETTLE, 0, 6, 0}},
               {"guard", {GUARD, 1, 4, 0}}};
    int arity;
    void *function = on_cpu_find(name, &arity);
    if (function) {
        *f = malloc(sizeof(kernel));
        **f = (kernel){0, 0, arity, function};
        return OK;
    }
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!strncmp(name, all[k].n, strlen(all[k].n))) {
            *f = malloc(sizeof(kernel));
            **f = all[k].k;
            if (!(*f)->width) (*f)->width = atoi(name + strlen(all[k].n));
            return OK;
        }
    return NOT_FOUND;
}
int cuLaunchKernel(kernel *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned sh, stream *s, void **p, void **x) {
    FAULT(void) gy;
    (void)gz;
    (void)by;
    (void)bz;
    (void)sh;
    (void)x;
    if (!gx || !bx || bx > 1024) return INVALID;
    launch l = {f->kind, f->width, gx, bx, f->parameters, f->function, {0}};
    for (int k = 0; k < f->parameters; k++) l.p[k] = *(i64 *)p[k];
    return fake_enqueue(s, f->function ? run_on_cpu : run, &l, sizeof l);
}
int cuGetProcAddress_v2(const char *n, void **p, int v, u64 f, int *q) {
    (void)v;
    (void)f;
    char b[128];
    static const char *end[] = {"_v3", "_v2", ""};
    if (q) *q = 0;
    for (int k = 0; k < 3; k++) {
        snprintf(b, sizeof b, "%s%s", n, end[k]);
        if ((*p = dlsym(RTLD_DEFAULT, b))) return OK;
    }
    if (q) *q = 1;
    return NOT_FOUND;
}
// NVRTC asks for a table of the driver's own; its first word is its size, and a small one is left
// alone
int cuGetExportTable(const void **t, const void *id) {
    (void)id;
    static const u64 none[] = {8};
    *t = none;
    return OK;
}
