// Waits that end; included by kernels that wait for other devices.
#pragma once
#include <ordered.cu>

struct Acquire {
    __device__ static long long load(const long long *from) { return load_acquire(from); }
    __device__ static void store(long long *to, long long value) { store_release(to, value); }
};

struct Relaxed {
    __device__ static long long load(const long long *from) { return load_relaxed(from); }
    __device__ static void store(long long *to, long long value) { store_relaxed(to, value); }
};

// Reads the clock at every 64th poll only, so that a short wait does not pay for it.
class Patience {
    long long polls = 0, begin = 0, limit;

public:
    __device__ explicit Patience(long long limit_ns) : limit(limit_ns) {}

    // True once the polls have taken longer than the limit.
    __device__ __forceinline__ bool is_over()
    {
        if (++polls % 64 != 0)
            return false;
        const long long now = nanoseconds();
        if (begin == 0)
            begin = now;
        return now - begin > limit;
    }
};

// Waits until *flag is at least `value`; false if that took longer than limit_ns.
template <class Order>
__device__ __forceinline__ bool wait_for(const long long *flag, long long value, long long limit_ns)
{
    Patience patience(limit_ns);
    while (Order::load(flag) < value)
        if (patience.is_over())
            return false;
    return true;
}
