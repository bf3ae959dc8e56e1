// The clock, and loads and stores with an order; included by kernels that wait for other devices.
//
// PTX stands in this file, bulk.cu and tensor.cu alone. The orders are those of the PTX ISA's memory consistency
// model ("Memory Consistency Model", "Release and Acquire Patterns"), with .sys scope because the
// other side is another GPU or the host. They take effect on naturally aligned words.
#pragma once

// Nanoseconds of the device's global timer (PTX ISA, "Special Registers: %globaltimer"). All SMs
// of one GPU read the same one; its steps are coarser than 1 ns and differ from GPU to GPU.
__device__ __forceinline__ long long nanoseconds()
{
    long long now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}

// Acquire: what the writer did before its release is visible after a load that returns its value.
__device__ __forceinline__ long long load_acquire(const long long *from)
{
    long long value;
    asm volatile("ld.acquire.sys.b64 %0, [%1];" : "=l"(value) : "l"(from) : "memory");
    return value;
}

// Release: everything that happened before is visible to whoever acquires this value.
__device__ __forceinline__ void store_release(long long *to, long long value)
{
    asm volatile("st.release.sys.b64 [%0], %1;" : : "l"(to), "l"(value) : "memory");
}

// Relaxed: the word alone arrives, at once and whole; it says nothing of other memory.
__device__ __forceinline__ long long load_relaxed(const long long *from)
{
    long long value;
    asm volatile("ld.relaxed.sys.b64 %0, [%1];" : "=l"(value) : "l"(from) : "memory");
    return value;
}

__device__ __forceinline__ void store_relaxed(long long *to, long long value)
{
    asm volatile("st.relaxed.sys.b64 [%0], %1;" : : "l"(to), "l"(value) : "memory");
}

// Relaxed, in two words at once: each of them arrives whole, but not both at the same time
// (PTX ISA: a vector access is a set of scalar accesses in no order).
__device__ __forceinline__ void load_relaxed_pair(const long long *from, long long &a, long long &b)
{
    asm volatile("ld.relaxed.sys.v2.b64 {%0, %1}, [%2];" : "=l"(a), "=l"(b) : "l"(from) : "memory");
}

__device__ __forceinline__ void store_relaxed_pair(long long *to, long long a, long long b)
{
    asm volatile("st.relaxed.sys.v2.b64 [%0], {%1, %2};" : : "l"(to), "l"(a), "l"(b) : "memory");
}
