/* An MPI library that is wrong once, on one rank: preloaded before the real one (LD_PRELOAD).
 *
 * Functions are wrapped by their profiling names (PMPI_*). Handles are passed on as 64-bit
 * registers: an int in MPICH, of which the callee reads the low half, a pointer in Open MPI.
 *
 *   RAILGAUGE_SHIM_FAULT  ulp, flip, swap, stale, drop or beyond; or delay (in MPI_Barrier)
 *   RAILGAUGE_SHIM_RANK   the rank that is wrong
 *   RAILGAUGE_SHIM_CALL   its call that is wrong, counted for each function, type and reduction
 *   RAILGAUGE_SHIM_BYTES  only calls of these sizes (`8184,4092`): the control plane stays right
 *   RAILGAUGE_SHIM_INDEX  the element that ulp and flip change
 *   RAILGAUGE_SHIM_NS     how long a delay is
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef long Handle;

/* The real library is loaded by mpi4py, out of sight of the global scope. */
static int find(struct dl_phdr_info *info, size_t size, void *out)
{
    (void)size;
    if (strstr(info->dlpi_name, "/libmpi.so") == NULL)
        return 0;
    *(void **)out = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    return 1;
}

static void *real(const char *name)
{
    static void *library;
    void *function;
    if (library == NULL)
        dl_iterate_phdr(find, &library);
    function = library ? dlsym(library, name) : NULL;
    if (function == NULL) {
        fprintf(stderr, "fault shim: no %s\n", name);
        abort();
    }
    return function;
}

#define REAL(name, ...) ((int (*)(__VA_ARGS__))real("P" #name))

static int option(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : -1;
}

static int is(const char *fault)
{
    const char *text = getenv("RAILGAUGE_SHIM_FAULT");
    return text != NULL && strcmp(text, fault) == 0;
}

static int rank_in(Handle communicator)
{
    int rank;
    REAL(MPI_Comm_rank, Handle, int *)(communicator, &rank);
    return rank;
}

static int ranks_in(Handle communicator)
{
    int ranks;
    REAL(MPI_Comm_size, Handle, int *)(communicator, &ranks);
    return ranks;
}

static int listed(long nbytes)
{
    const char *text = getenv("RAILGAUGE_SHIM_BYTES");
    while (text != NULL && *text != '\0') {
        char *end;
        if (strtol(text, &end, 10) == nbytes)
            return 1;
        text = *end == ',' ? end + 1 : NULL;
    }
    return 0;
}

/* One call: what is passed on instead of the send buffer, and what is put back afterwards. */
struct call {
    int wrong, size;
    const void *send;
    void *zeros, *before;
    char *receive;
    long elements;
};

static struct call begin(const char *function, Handle kind, const void *send, long sends,
                         void *receive, long receives, int count, Handle type, Handle communicator)
{
    static struct {
        const char *function;
        Handle kind, type;
        int calls;
    } last;
    struct call call = {0, 0, send, NULL, NULL, receive, receives};
    REAL(MPI_Type_size, Handle, int *)(type, &call.size);
    if (!listed((long)count * call.size))
        return call;
    if (last.function != function || last.kind != kind || last.type != type) {
        last.function = function;
        last.kind = kind;
        last.type = type;
        last.calls = 0;
    }
    call.wrong = last.calls++ == option("RAILGAUGE_SHIM_CALL") &&
                 rank_in(communicator) == option("RAILGAUGE_SHIM_RANK");
    if (call.wrong && is("drop") && sends > 0)
        call.send = call.zeros = calloc(sends, call.size);
    if (call.wrong && is("stale") && receives > 0) {
        call.before = malloc(receives * call.size);
        memcpy(call.before, receive, receives * call.size);
    }
    return call;
}

static void end(struct call *call)
{
    long index = option("RAILGAUGE_SHIM_INDEX"), k;
    char *at = call->receive + index * call->size, *half;
    free(call->zeros);
    if (!call->wrong || call->elements == 0)
        return;
    if (is("ulp"))
        for (k = 0; k < call->size && ++at[k] == 0; k++)
            ;
    if (is("flip"))
        at[call->size - 1] ^= 0x10;
    if (is("beyond"))
        memset(call->receive + call->elements * call->size, 0x5A, call->size);
    if (is("swap")) {
        half = call->receive + call->elements / 2 * call->size;
        for (k = 0; k < call->elements / 2 * call->size; k++) {
            char byte = call->receive[k];
            call->receive[k] = half[k];
            half[k] = byte;
        }
    }
    if (is("stale"))
        memcpy(call->receive, call->before, call->elements * call->size);
    free(call->before);
}

int MPI_Allreduce(const void *send, void *receive, int count, Handle type, Handle op, Handle comm)
{
    struct call call = begin("Allreduce", op, send, count, receive, count, count, type, comm);
    int code = REAL(MPI_Allreduce, const void *, void *, int, Handle, Handle, Handle)(
        call.send, receive, count, type, op, comm);
    end(&call);
    return code;
}

int MPI_Reduce(const void *send, void *receive, int count, Handle type, Handle op, int root,
               Handle comm)
{
    long receives = rank_in(comm) == root ? count : 0;
    struct call call = begin("Reduce", op, send, count, receive, receives, count, type, comm);
    int code = REAL(MPI_Reduce, const void *, void *, int, Handle, Handle, int, Handle)(
        call.send, receive, count, type, op, root, comm);
    end(&call);
    return code;
}

int MPI_Reduce_scatter_block(const void *send, void *receive, int count, Handle type, Handle op,
                             Handle comm)
{
    struct call call = begin("Reduce_scatter_block", op, send, (long)count * ranks_in(comm),
                             receive, count, count, type, comm);
    int code = REAL(MPI_Reduce_scatter_block, const void *, void *, int, Handle, Handle, Handle)(
        call.send, receive, count, type, op, comm);
    end(&call);
    return code;
}

int MPI_Allgather(const void *send, int sends, Handle kind, void *receive, int count, Handle type,
                  Handle comm)
{
    struct call call = begin("Allgather", 0, send, sends, receive, (long)count * ranks_in(comm),
                             count, type, comm);
    int code = REAL(MPI_Allgather, const void *, int, Handle, void *, int, Handle, Handle)(
        call.send, sends, kind, receive, count, type, comm);
    end(&call);
    return code;
}

int MPI_Alltoall(const void *send, int sends, Handle kind, void *receive, int count, Handle type,
                 Handle comm)
{
    long whole = (long)count * ranks_in(comm);
    struct call call = begin("Alltoall", 0, send, whole, receive, whole, count, type, comm);
    int code = REAL(MPI_Alltoall, const void *, int, Handle, void *, int, Handle, Handle)(
        call.send, sends, kind, receive, count, type, comm);
    end(&call);
    return code;
}

int MPI_Gather(const void *send, int sends, Handle kind, void *receive, int count, Handle type,
               int root, Handle comm)
{
    long receives = rank_in(comm) == root ? (long)count * ranks_in(comm) : 0;
    struct call call = begin("Gather", 0, send, sends, receive, receives, sends, kind, comm);
    int code = REAL(MPI_Gather, const void *, int, Handle, void *, int, Handle, int, Handle)(
        call.send, sends, kind, receive, count, type, root, comm);
    end(&call);
    return code;
}

int MPI_Scatter(const void *send, int sends, Handle kind, void *receive, int count, Handle type,
                int root, Handle comm)
{
    long whole = rank_in(comm) == root ? (long)count * ranks_in(comm) : 0;
    struct call call = begin("Scatter", 0, send, whole, receive, count, count, type, comm);
    int code = REAL(MPI_Scatter, const void *, int, Handle, void *, int, Handle, int, Handle)(
        call.send, sends, kind, receive, count, type, root, comm);
    end(&call);
    return code;
}

int MPI_Bcast(void *data, int count, Handle type, int root, Handle comm)
{
    struct call call = begin("Bcast", 0, NULL, 0, data, count, count, type, comm);
    int code = REAL(MPI_Bcast, void *, int, Handle, int, Handle)(data, count, type, root, comm);
    end(&call);
    return code;
}

int MPI_Sendrecv(const void *send, int sends, Handle kind, int to, int tag, void *receive,
                 int count, Handle type, int from, int other, Handle comm, void *status)
{
    struct call call = begin("Sendrecv", 0, send, sends, receive, count, count, type, comm);
    int code = REAL(MPI_Sendrecv, const void *, int, Handle, int, int, void *, int, Handle, int,
                    int, Handle, void *)(call.send, sends, kind, to, tag, receive, count, type,
                                         from, other, comm, status);
    end(&call);
    return code;
}

int MPI_Recv(void *data, int count, Handle type, int from, int tag, Handle comm, void *status)
{
    struct call call = begin("Recv", 0, NULL, 0, data, count, count, type, comm);
    int code = REAL(MPI_Recv, void *, int, Handle, int, int, Handle, void *)(
        data, count, type, from, tag, comm, status);
    end(&call);
    return code;
}

static long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

int MPI_Barrier(Handle comm)
{
    int code = REAL(MPI_Barrier, Handle)(comm);
    if (is("delay") && rank_in(comm) == option("RAILGAUGE_SHIM_RANK")) {
        long until = nanoseconds() + option("RAILGAUGE_SHIM_NS");
        while (nanoseconds() < until)
            ;
    }
    return code;
}
