// Copies by loads and stores; included by copy.cu, and by copy_bulk.cu for what bulk copies cannot.
#pragma once
#include <ranges.cu>

// FLIGHT loads are on their way before the first store.
template <class Unit, int FLIGHT>
__device__ __forceinline__ void copy_units(Unit *to, const Unit *from, long long units,
                                           const Worker &worker)
{
    long long i = worker.first;
    for (; i + (FLIGHT - 1) * worker.step < units; i += FLIGHT * worker.step) {
        Unit held[FLIGHT];
#pragma unroll
        for (int k = 0; k < FLIGHT; ++k)
            held[k] = from[i + k * worker.step];
#pragma unroll
        for (int k = 0; k < FLIGHT; ++k)
            to[i + k * worker.step] = held[k];
    }
    for (; i < units; i += worker.step)
        to[i] = from[i];
}

// The bytes that belong to no whole unit of `to`.
__device__ __forceinline__ void copy_edges(char *to, const char *from, const Split &split,
                                           long long unit, const Worker &worker)
{
    for (long long k = worker.first; k < split.edges; k += worker.step) {
        const long long at = split.edge(k, unit);
        to[at] = from[at];
    }
}

// Any nbytes, any addresses; no overlap. Units are as wide as the two addresses allow: where they
// differ mod 16 but not mod 4, four bytes; where they differ mod 4, single ones.
template <class Unit, int FLIGHT>
__device__ void copy(char *to, const char *from, long long nbytes, const Worker &worker)
{
    if ((address(to) ^ address(from)) % sizeof(Unit) != 0) {
        if constexpr (sizeof(Unit) > 4)
            copy<unsigned, FLIGHT>(to, from, nbytes, worker);
        else
            copy_units<char, FLIGHT>(to, from, nbytes, worker);
        return;
    }
    const Split split(to, nbytes, sizeof(Unit));
    copy_units<Unit, FLIGHT>((Unit *)(to + split.head), (const Unit *)(from + split.head),
                             split.units, worker);
    copy_edges(to, from, split, sizeof(Unit), worker);
}

// Which of two copies this block works on, and its place there: half of the blocks each. A single
// block does both.
struct Half {
    bool first, second;
    long long block, blocks;

    __device__ __forceinline__ Half()
    {
        const long long before = gridDim.x / 2;
        first = blockIdx.x < before || gridDim.x == 1;
        second = blockIdx.x >= before;
        block = blockIdx.x < before ? blockIdx.x : blockIdx.x - before;
        blocks = blockIdx.x < before ? before : gridDim.x - before;
    }

    __device__ __forceinline__ Worker worker() const
    {
        return {block * blockDim.x + threadIdx.x, blocks * blockDim.x};
    }
};
