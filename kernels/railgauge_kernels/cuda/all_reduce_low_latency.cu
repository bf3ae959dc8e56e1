// All-reduce for few bytes: every rank writes its data into a slot in each peer's memory, in lines
// that carry their own flags, so that no barrier is needed and one way over the link is all.
//
// A line is 16 bytes: twice four bytes of data and a flag, the number of the call. Eight aligned bytes arrive
// whole, so a half line with the right flag has the right data (the idea is NCCL's LL protocol).
#include <elements.cu>
#include <waiting.cu>

struct Line {
    unsigned data[2];
};

__device__ __forceinline__ long long flagged(unsigned data, unsigned flag)
{
    return (long long)((unsigned long long)flag << 32 | data);
}

__device__ __forceinline__ void send(long long *line, const Line &from, unsigned flag)
{
    store_relaxed_pair(line, flagged(from.data[0], flag), flagged(from.data[1], flag));
}

// Waits for a line of this epoch; false: it took longer than limit_ns.
__device__ __forceinline__ bool receive(const long long *line, Line &to, unsigned flag,
                                        long long limit_ns)
{
    Patience patience(limit_ns);
    for (;;) {
        long long a, b;
        load_relaxed_pair(line, a, b);
        if ((unsigned)((unsigned long long)a >> 32) == flag &&
            (unsigned)((unsigned long long)b >> 32) == flag) {
            to = {{(unsigned)a, (unsigned)b}};
            return true;
        }
        if (patience.is_over())
            return false;
    }
}

// Elements of the i-th eight bytes; behind `count` there are zeros, and nothing is written.
template <class Element>
__device__ __forceinline__ Line load_line(const char *from, long long i, long long count)
{
    using Item = typename Element::Item;
    constexpr int LANES = Element::LANES;
    Line line = {{0, 0}};
    for (int k = 0; k < 2 * LANES; ++k)
        if (i * 2 * LANES + k < count)
            line.data[k / LANES] |= (unsigned)((const Item *)from)[i * 2 * LANES + k]
                                    << 32 / LANES * (k % LANES);
    return line;
}

template <class Element>
__device__ __forceinline__ void store_line(char *to, const Line &line, long long i, long long count)
{
    using Item = typename Element::Item;
    constexpr int LANES = Element::LANES;
    for (int k = 0; k < 2 * LANES; ++k)
        if (i * 2 * LANES + k < count)
            ((Item *)to)[i * 2 * LANES + k] =
                (Item)(line.data[k / LANES] >> 32 / LANES * (k % LANES));
}

// `slots` is a table of addresses, one a rank, each a multiple of 16, of int64[2][ranks][capacity][2]
// there, 0 at first; capacity is in lines and at least count * itemsize / 8, rounded up; count is at
// least 1. `epochs` is int64[blocks] in this rank's memory, 0 at first: the calls that each block has
// done. All ranks launch the same grid, few enough blocks to be resident at once. `out` may be `in`.
// Two sets of slots are enough: a rank that is two calls ahead got data of the call in between from
// every peer, whose earlier call had ended then.
template <class Element>
__device__ void low_latency(const char *in, char *out, long long *const *slots, long long rank,
                            long long ranks, long long count, long long capacity,
                            long long *epochs, long long limit_ns, long long *status)
{
    const Worker worker = whole_grid();
    const long long epoch = epochs[blockIdx.x] + 1;
    __syncthreads(); // all have read the count
    if (threadIdx.x == 0)
        epochs[blockIdx.x] = epoch;
    const unsigned flag = 1 + (unsigned)(epoch % 0xffffffffll); // never 0
    const long long set = epoch % 2 * ranks;
    const long long lines = (count + 2 * Element::LANES - 1) / (2 * Element::LANES);
    for (long long i = worker.first; i < lines; i += worker.step) {
        const Line own = load_line<Element>(in, i, count);
        for (long long k = 1; k < ranks; ++k) {
            const long long peer = rank + k < ranks ? rank + k : rank + k - ranks;
            send(slots[peer] + ((set + rank) * capacity + i) * 2, own, flag);
        }
        WordSum<Element> sums[2];
        for (long long peer = 0; peer < ranks; ++peer) {
            Line line = own;
            const long long *slot = slots[rank] + ((set + peer) * capacity + i) * 2;
            if (peer != rank && !receive(slot, line, flag, limit_ns)) {
                *status = 1 + peer;
                return;
            }
            for (int w = 0; w < 2; ++w)
                peer == 0 ? sums[w].begin(line.data[w]) : sums[w].add(line.data[w]);
        }
        store_line<Element>(out, {{sums[0].end(), sums[1].end()}}, i, count);
    }
}

#define KERNELS(name, Element)                                                                     \
    extern "C" __global__ void all_reduce_low_latency_##name(                                      \
        const char *in, char *out, long long *const *slots, long long rank, long long ranks,       \
        long long count, long long capacity, long long *epochs, long long limit_ns,                \
        long long *status)                                                                         \
    {                                                                                              \
        low_latency<Element>(in, out, slots, rank, ranks, count, capacity, epochs, limit_ns,       \
                             status);                                                              \
    }

KERNELS(float32, Float32)
KERNELS(float16, Float16)
KERNELS(bfloat16, BFloat16)
