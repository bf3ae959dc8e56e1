// All-reduce over peer memory, as one kernel on every GPU, and without a library.
//
// Tables (in device memory) hold one address for every rank, in rank order, as this rank reaches
// it. All ranks launch the same grid, few enough blocks to be resident at once. `flags` are
// int64[2][blocks][ranks] in every rank's memory and `epochs` int64[blocks] in this rank's, all 0 at
// first; all calls use them, on one stream. A wait that takes longer than limit_ns writes 1 + the
// late peer to *status, and the block returns: its output is not there.
//
// Sums are taken in rank order, so that all ranks get the same bits, those of `reduce`.
#include <elements.cu>
#include <waiting.cu>

enum Phase { READY, DONE };

// Tells this block of every rank that it got to `phase`, and waits for all of them; false: one was
// late. What the peers did before is visible afterwards: release and acquire through the flags,
// made good for the whole block by the barriers before and after.
__device__ bool meet(Phase phase, long long *const *flags, long long rank, long long ranks,
                     long long epoch, long long limit_ns, long long *status)
{
    const long long row = (phase * (long long)gridDim.x + blockIdx.x) * ranks;
    __syncthreads();
    for (long long peer = threadIdx.x; peer < ranks; peer += blockDim.x)
        store_release(&flags[peer][row + rank], epoch);
    bool late = false;
    for (long long peer = threadIdx.x; peer < ranks; peer += blockDim.x)
        if (!wait_for<Acquire>(&flags[rank][row + peer], epoch, limit_ns)) {
            late = true;
            *status = 1 + peer;
        }
    return !__syncthreads_or(late);
}

// The number of this call, as this block counts them; a program repeats the very same launch, so the
// count cannot be a parameter.
__device__ __forceinline__ long long begun(const long long *epochs)
{
    return epochs[blockIdx.x] + 1;
}

// All threads of the block have passed a barrier since they read the count.
__device__ __forceinline__ void ended(long long *epochs, long long epoch)
{
    if (threadIdx.x == 0)
        epochs[blockIdx.x] = epoch;
}

// Every rank reads all inputs. `out` is no input of any rank.
template <class Element, int RANKS>
__device__ void sum_all(const char *const *inputs, char *out, long long ranks, long long count)
{
    const Inputs<Element, RANKS> in = {{inputs, ranks}};
    const Output<Element> to = {out};
    sum_range<Element>(in, to, 0, count, whole_grid());
}

template <class Element>
__device__ void one_shot(const char *const *inputs, char *out, long long rank, long long ranks,
                         long long count, long long *const *flags, long long *epochs,
                         long long limit_ns, long long *status)
{
    const long long epoch = begun(epochs);
    if (!meet(READY, flags, rank, ranks, epoch, limit_ns, status))
        return;
    if (ranks == 2)
        sum_all<Element, 2>(inputs, out, ranks, count);
    else if (ranks == 4)
        sum_all<Element, 4>(inputs, out, ranks, count);
    else if (ranks == 8)
        sum_all<Element, 8>(inputs, out, ranks, count);
    else
        sum_all<Element, 0>(inputs, out, ranks, count);
    // nobody changes an input while it is read
    meet(DONE, flags, rank, ranks, epoch, limit_ns, status);
    ended(epochs, epoch);
}

// The outputs of all ranks.
template <class Element, int RANKS> struct Outputs {
    Table<char *, RANKS> outs;

    __device__ __forceinline__ void one(long long i, unsigned bits) const
    {
        for (long long k = 0; k < outs.number; ++k)
            Output<Element>{outs.table[k]}.one(i, bits);
    }

    __device__ __forceinline__ void vector(long long i, const Vector &v) const
    {
        if constexpr (RANKS != 0) {
#pragma unroll
            for (int k = 0; k < RANKS; ++k)
                Output<Element>{outs[k]}.vector(i, v);
        } else {
            for (long long k = 0; k < outs.number; ++k)
                Output<Element>{outs[k]}.vector(i, v);
        }
    }

    __device__ __forceinline__ bool are_vectors() const { return outs.are_vectors(); }
};

template <class Element, int RANKS>
__device__ void sum_share(const char *const *inputs, char *const *outs, long long rank,
                          long long ranks, long long count)
{
    // shares are whole 16 bytes, whatever the addresses: all ranks agree on them
    constexpr long long EACH = 16 / sizeof(typename Element::Item);
    const long long vectors = (count + EACH - 1) / EACH;
    const long long share = (vectors + ranks - 1) / ranks * EACH;
    const long long begin = rank * share < count ? rank * share : count;
    const long long end = begin + share < count ? begin + share : count;
    if (begin == end)
        return;
    const Inputs<Element, RANKS> in = {{inputs, ranks}};
    const Outputs<Element, RANKS> to = {{outs, ranks}};
    sum_range<Element>(in, to, begin, end, whole_grid());
}

// Reduce-scatter and all-gather in one go: every rank reads its share of all inputs and writes the
// sum to all outputs. `outs` may be `inputs`: nobody else reads or writes that share.
template <class Element>
__device__ void two_shot(const char *const *inputs, char *const *outs, long long rank,
                         long long ranks, long long count, long long *const *flags,
                         long long *epochs, long long limit_ns, long long *status)
{
    const long long epoch = begun(epochs);
    if (!meet(READY, flags, rank, ranks, epoch, limit_ns, status))
        return;
    if (ranks == 2)
        sum_share<Element, 2>(inputs, outs, rank, ranks, count);
    else if (ranks == 4)
        sum_share<Element, 4>(inputs, outs, rank, ranks, count);
    else if (ranks == 8)
        sum_share<Element, 8>(inputs, outs, rank, ranks, count);
    else
        sum_share<Element, 0>(inputs, outs, rank, ranks, count);
    // all shares of this rank's output are there, and nobody reads its input any more
    meet(DONE, flags, rank, ranks, epoch, limit_ns, status);
    ended(epochs, epoch);
}

#define KERNELS(name, Element)                                                                     \
    extern "C" __global__ void all_reduce_one_shot_##name(                                         \
        const char *const *inputs, char *out, long long rank, long long ranks, long long count,    \
        long long *const *flags, long long *epochs, long long limit_ns, long long *status)          \
    {                                                                                              \
        one_shot<Element>(inputs, out, rank, ranks, count, flags, epochs, limit_ns, status);       \
    }                                                                                              \
    extern "C" __global__ void all_reduce_two_shot_##name(                                         \
        const char *const *inputs, char *const *outs, long long rank, long long ranks,             \
        long long count, long long *const *flags, long long *epochs, long long limit_ns,           \
        long long *status)                                                                         \
    {                                                                                              \
        two_shot<Element>(inputs, outs, rank, ranks, count, flags, epochs, limit_ns, status);      \
    }

KERNELS(float32, Float32)
KERNELS(float16, Float16)
KERNELS(bfloat16, BFloat16)
