// Latency between two GPUs: flags that each writes into the other's memory.
#include <waiting.cu>

template <class Order>
__device__ void play(const long long *mine, long long *theirs, bool first, long long base,
                     long long iterations, long long limit_ns, long long *stamps, long long *status)
{
    if (blockIdx.x != 0 || threadIdx.x != 0)
        return;
    if (first)
        stamps[0] = nanoseconds();
    for (long long i = 1; i <= iterations; ++i) {
        if (first)
            Order::store(theirs, base + i);
        if (!wait_for<Order>(mine, base + i, limit_ns)) {
            *status = i;
            return;
        }
        if (first)
            stamps[i] = nanoseconds();
        else
            Order::store(theirs, base + i);
    }
}

// One thread on each side, flags of 8 bytes that are below `base` + 1 before. `mine` is the flag
// that this side polls, `theirs` the one that it writes: pushed where `mine` lies in own memory,
// pulled where it lies with the peer. The side with first = 1 begins, and writes iterations + 1
// stamps (ns): before, and after every round trip. The other side's `stamps` is not used.
// *status becomes the number of the round trip that waited longer than limit_ns, else it stays.
extern "C" __global__ void ping_pong(const long long *mine, long long *theirs, long long first,
                                     long long base, long long iterations, long long limit_ns,
                                     long long *stamps, long long *status)
{
    play<Acquire>(mine, theirs, first != 0, base, iterations, limit_ns, stamps, status);
}

// The same without the fences of release and acquire: what the link alone takes.
extern "C" __global__ void ping_pong_relaxed(const long long *mine, long long *theirs,
                                             long long first, long long base, long long iterations,
                                             long long limit_ns, long long *stamps,
                                             long long *status)
{
    play<Relaxed>(mine, theirs, first != 0, base, iterations, limit_ns, stamps, status);
}
