// The bulk copy engine of an SM, and the barriers that tell of its loads; included by copy_bulk.cu.
//
// PTX ISA: "Asynchronous copy: cp.async.bulk", "mbarrier", "Async proxy".
#pragma once

__device__ __forceinline__ unsigned shared_address(const void *of)
{
    return (unsigned)__cvta_generic_to_shared(of);
}

__device__ __forceinline__ void start_load(void *stage, const char *from, unsigned nbytes,
                                           unsigned long long *full)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 :
                 : "r"(shared_address(full)), "r"(nbytes)
                 : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];"
                 :
                 : "r"(shared_address(stage)), "l"(__cvta_generic_to_global(from)), "r"(nbytes),
                   "r"(shared_address(full))
                 : "memory");
}

__device__ __forceinline__ void await_load(unsigned long long *full, unsigned parity)
{
    asm volatile("{\n\t.reg .pred done;\n"
                 "again:\n\t"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t"
                 "@!done bra again;\n\t}"
                 :
                 : "r"(shared_address(full)), "r"(parity)
                 : "memory");
}

__device__ __forceinline__ void start_store(char *to, const void *stage, unsigned nbytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
                 :
                 : "l"(__cvta_generic_to_global(to)), "r"(shared_address(stage)), "r"(nbytes)
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;" : : : "memory");
}

// Waits until all stores but the latest PENDING have read what they store.
template <int PENDING> __device__ __forceinline__ void await_reading()
{
    asm volatile("cp.async.bulk.wait_group.read %0;" : : "n"(PENDING) : "memory");
}

// Waits until all stores are done.
__device__ __forceinline__ void await_stores()
{
    asm volatile("cp.async.bulk.wait_group 0;" : : : "memory");
}

// A barrier for one thread.
__device__ __forceinline__ void set_up_barrier(unsigned long long *barrier)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" : : "r"(shared_address(barrier)));
}

// Makes barriers that were just set up known to the async proxy.
__device__ __forceinline__ void publish_barriers()
{
    asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
}
