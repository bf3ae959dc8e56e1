// How the threads of a grid share bytes that begin anywhere; included by the bandwidth kernels.
#pragma once

// One thread's place among all that share the work.
struct Worker {
    long long first, step;
};

__device__ __forceinline__ Worker whole_grid()
{
    return {(long long)blockIdx.x * blockDim.x + threadIdx.x, (long long)gridDim.x * blockDim.x};
}

__device__ __forceinline__ unsigned long long address(const void *of)
{
    return (unsigned long long)of;
}

// Bytes before the first multiple of `unit`, then whole units; what is left over is the tail.
struct Split {
    long long head, units, edges;

    __device__ __forceinline__ Split(const void *at, long long nbytes, long long unit)
    {
        head = (long long)(-address(at) % (unsigned long long)unit);
        head = head < nbytes ? head : nbytes;
        units = (nbytes - head) / unit;
        edges = nbytes - units * unit;
    }

    // The offset of the k-th byte that belongs to no unit.
    __device__ __forceinline__ long long edge(long long k, long long unit) const
    {
        return k < head ? k : k + units * unit;
    }
};

// 16 bytes, moved by one instruction.
struct alignas(16) Vector {
    unsigned word[4];
};
