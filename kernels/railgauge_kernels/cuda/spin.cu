// Holds a stream until the host says go.
#include <ordered.cu>

// Waits until *flag (mapped host memory, 8 bytes) is not zero, or until limit_ns have passed.
extern "C" __global__ void spin(const long long *flag, long long limit_ns)
{
    if (blockIdx.x != 0 || threadIdx.x != 0)
        return;
    const long long begin = nanoseconds();
    while (load_acquire(flag) == 0 && nanoseconds() - begin < limit_ns) {
    }
}
