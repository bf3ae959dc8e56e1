// CUDA C++ for a C++ compiler: force-included ahead of a kernel's source.
//
// The threads of a block are fibers of one host thread, and the blocks of a launch run one after the
// other. A fiber runs threads to their ends, one after the other, until one of them has to wait; only
// then does another fiber take the next thread. So kernels that never wait cost a call a thread.
#pragma once
#include <math.h>
#include <string.h>
#include <cuda_runtime.h>

#undef __shared__
#define __shared__ thread_local

struct on_cpu_index {
    unsigned x;
};
struct on_cpu_thread {
    on_cpu_index threadIdx, blockIdx, blockDim, gridDim;
};
extern thread_local on_cpu_thread *on_cpu_here;
#define threadIdx (on_cpu_here->threadIdx)
#define blockIdx (on_cpu_here->blockIdx)
#define blockDim (on_cpu_here->blockDim)
#define gridDim (on_cpu_here->gridDim)

// The kernels of one source, found by name with all others.
struct on_cpu_kernel {
    const char *name;
    void *function;
    int arity;
};
struct on_cpu_kernels {
    const on_cpu_kernel *rows;
    int count;
    on_cpu_kernels *next;
    on_cpu_kernels(const on_cpu_kernel *of, int number);
};

// Lets the other threads of the block go on, or where none can, other processes.
void on_cpu_yield();
// Waits until `threads` threads that begin at thread `first` have come here; whether any said so.
bool on_cpu_meet(unsigned first, unsigned threads, bool any = false);
// What lane `from` of this thread's warp gave; all 32 lanes call it.
unsigned long long on_cpu_exchange(unsigned long long value, unsigned from);

// What all lanes of this thread's warp gave, `words` of each, until they come here again.
const unsigned (*on_cpu_share(const unsigned *mine, int words))[8];

inline void __syncthreads() { on_cpu_meet(0, blockDim.x); }
inline int __syncthreads_or(int any) { return on_cpu_meet(0, blockDim.x, any != 0); }

inline unsigned long long __shfl_down_sync(unsigned, unsigned long long value, int lanes)
{
    const unsigned lane = threadIdx.x % 32;
    return on_cpu_exchange(value, lane + lanes < 32 ? lane + lanes : lane);
}

inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum)
{
    for (int k = 0; k < 32; k += 8)
        sum += (a >> k & 0xff) * (b >> k & 0xff);
    return sum;
}

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }

inline unsigned long long atomicAdd(unsigned long long *at, unsigned long long value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
