// Copies between any two addresses that this GPU can reach. A pull has `from` in a peer's memory, a
// push has `to` there: the same kernels.
#include <copying.cu>

extern "C" __global__ void copy_plain(char *to, const char *from, long long nbytes)
{
    copy<unsigned, 1>(to, from, nbytes, whole_grid());
}

extern "C" __global__ void copy_vector(char *to, const char *from, long long nbytes)
{
    copy<Vector, 1>(to, from, nbytes, whole_grid());
}

extern "C" __global__ void copy_unrolled(char *to, const char *from, long long nbytes)
{
    copy<Vector, 4>(to, from, nbytes, whole_grid());
}

// nbytes each way at the same time, by half of the blocks each.
extern "C" __global__ void copy_bidirectional(char *to, const char *from, char *back_to,
                                              const char *back_from, long long nbytes)
{
    const Half half;
    if (half.first)
        copy<Vector, 4>(to, from, nbytes, half.worker());
    if (half.second)
        copy<Vector, 4>(back_to, back_from, nbytes, half.worker());
}
