// Stands before the source of that name: a bulk copy is done when it is asked for.
#pragma once

inline void set_up_barrier(unsigned long long *barrier) { *barrier = 0; }
inline void publish_barriers() {}

inline void start_load(void *stage, const char *from, unsigned nbytes, unsigned long long *full)
{
    memcpy(stage, from, nbytes);
    ++*full;
}

// The phase that `parity` names has ended: an odd number of loads for parity 0.
inline void await_load(unsigned long long *full, unsigned parity)
{
    while (*full % 2 == parity)
        on_cpu_yield();
}

inline void start_store(char *to, const void *stage, unsigned nbytes) { memcpy(to, stage, nbytes); }
template <int PENDING> inline void await_reading() {}
inline void await_stores() {}
