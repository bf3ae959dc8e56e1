// Time stamps from inside a stream.
#include <ordered.cu>

// Writes the device's clock to stamps[*cursor] and advances the cursor; one thread.
// Behind the capacity nothing is written, but the cursor still counts: it says how many are missing.
extern "C" __global__ void stamp(long long *cursor, long long *stamps, long long capacity)
{
    if (blockIdx.x != 0 || threadIdx.x != 0)
        return;
    const long long at = *cursor;
    if (0 <= at && at < capacity)
        stamps[at] = nanoseconds();
    *cursor = at + 1;
}
