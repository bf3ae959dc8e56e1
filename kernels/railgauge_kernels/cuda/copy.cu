// Copies by the multiprocessors: a ladder from one word a thread to several 16-byte loads in flight.
//
// Pull and push are the same kernel: what counts is on which side of the link `from` and `to` lie.
// Any address and any number of bytes: what cannot go in whole words of the version goes byte by byte.

static __device__ __forceinline__ void copy_bytes(char *to, const char *from, long long nbytes)
{
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long threads = (long long)gridDim.x * blockDim.x;
    for (long long i = thread; i < nbytes; i += threads)
        to[i] = from[i];
}

// Whole words of type W, then the rest; both addresses must agree modulo the width of W.
template <typename W, int UNROLLED>
static __device__ __forceinline__ void copy_words(char *to, const char *from, long long nbytes)
{
    const unsigned long long skew = (unsigned long long)to % sizeof(W);
    if (skew != (unsigned long long)from % sizeof(W)) {
        copy_bytes(to, from, nbytes);
        return;
    }
    long long head = skew == 0 ? 0 : (long long)(sizeof(W) - skew);
    head = head < nbytes ? head : nbytes;
    copy_bytes(to, from, head);
    W *out = (W *)(to + head);
    const W *in = (const W *)(from + head);
    const long long words = (nbytes - head) / (long long)sizeof(W);
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long threads = (long long)gridDim.x * blockDim.x;
    long long i = thread;
    for (; i + (UNROLLED - 1) * threads < words; i += UNROLLED * threads) {
        W held[UNROLLED];
#pragma unroll
        for (int k = 0; k < UNROLLED; ++k)
            held[k] = in[i + k * threads];
#pragma unroll
        for (int k = 0; k < UNROLLED; ++k)
            out[i + k * threads] = held[k];
    }
    for (; i < words; i += threads)
        out[i] = in[i];
    const long long done = head + words * (long long)sizeof(W);
    copy_bytes(to + done, from + done, nbytes - done);
}

extern "C" __global__ void copy_plain(char *to, const char *from, long long nbytes)
{
    copy_words<unsigned int, 1>(to, from, nbytes);
}

extern "C" __global__ void copy_vector(char *to, const char *from, long long nbytes)
{
    copy_words<uint4, 1>(to, from, nbytes);
}

extern "C" __global__ void copy_unrolled(char *to, const char *from, long long nbytes)
{
    copy_words<uint4, 4>(to, from, nbytes);
}
