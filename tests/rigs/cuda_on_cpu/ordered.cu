// Stands before the source of that name: the clock and ordered accesses without PTX.
#pragma once
#include <time.h>

inline long long nanoseconds()
{
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

inline long long load_acquire(const long long *from)
{
    on_cpu_yield(); // whoever loads so may be waiting
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

inline void store_release(long long *to, long long value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

inline long long load_relaxed(const long long *from) { return load_acquire(from); }
inline void store_relaxed(long long *to, long long value) { store_release(to, value); }

inline void load_relaxed_pair(const long long *from, long long &a, long long &b)
{
    a = load_acquire(from);
    b = load_acquire(from + 1);
}

inline void store_relaxed_pair(long long *to, long long a, long long b)
{
    store_release(to, a);
    store_release(to + 1, b);
}
