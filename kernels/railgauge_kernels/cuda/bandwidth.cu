// What the memory gives at most: read, write, and the triad of STREAM (J. McCalpin).
#include <ranges.cu>

// Adds `sum` of all threads of the block to *sink.
__device__ __forceinline__ void add_up(unsigned long long sum, unsigned long long *sink)
{
    __shared__ unsigned long long of_warp[32];
    for (int lanes = 16; lanes > 0; lanes /= 2)
        sum += __shfl_down_sync(0xffffffffu, sum, lanes);
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    for (unsigned warp = 1; warp < blockDim.x / 32; ++warp)
        sum += of_warp[warp];
    atomicAdd(sink, sum);
}

__device__ __forceinline__ unsigned bytes_of(unsigned word, unsigned sum)
{
    return __dp4a(word, 0x01010101u, sum);
}

__device__ __forceinline__ unsigned bytes_of(const Vector &v, unsigned sum)
{
    sum = bytes_of(v.word[0], sum);
    sum = bytes_of(v.word[1], sum);
    sum = bytes_of(v.word[2], sum);
    return bytes_of(v.word[3], sum);
}

// Adds the sum of all bytes, mod 2^64, to *sink. A thread's own sum has 32 bits: it may read 16 MB.
// Blocks are whole warps of at most 1024 threads.
template <class Unit, int FLIGHT>
__device__ void read(const char *from, long long nbytes, unsigned long long *sink)
{
    const Worker worker = whole_grid();
    const Split split(from, nbytes, sizeof(Unit));
    const Unit *units = (const Unit *)(from + split.head);
    unsigned sum = 0;
    long long i = worker.first;
    for (; i + (FLIGHT - 1) * worker.step < split.units; i += FLIGHT * worker.step) {
        Unit held[FLIGHT];
#pragma unroll
        for (int k = 0; k < FLIGHT; ++k)
            held[k] = units[i + k * worker.step];
#pragma unroll
        for (int k = 0; k < FLIGHT; ++k)
            sum = bytes_of(held[k], sum);
    }
    for (; i < split.units; i += worker.step)
        sum = bytes_of(units[i], sum);
    for (long long k = worker.first; k < split.edges; k += worker.step)
        sum += (unsigned char)from[split.edge(k, sizeof(Unit))];
    add_up(sum, sink);
}

// Sets all bytes to the low byte of `value`.
template <class Unit> __device__ void write(char *to, long long nbytes, long long value)
{
    const Worker worker = whole_grid();
    const Split split(to, nbytes, sizeof(Unit));
    union {
        unsigned word[sizeof(Unit) / 4];
        Unit unit;
    } filled;
    for (unsigned &word : filled.word)
        word = ((unsigned)value & 0xffu) * 0x01010101u;
    Unit *units = (Unit *)(to + split.head);
    for (long long i = worker.first; i < split.units; i += worker.step)
        units[i] = filled.unit;
    for (long long k = worker.first; k < split.edges; k += worker.step)
        to[split.edge(k, sizeof(Unit))] = (char)value;
}

// Rounded twice, as written: no fused multiply-add, so that every compiler gives the same bits.
__device__ __forceinline__ float triad_of(float b, float c, float scale)
{
    return __fadd_rn(b, __fmul_rn(scale, c));
}

__device__ __forceinline__ void triad_of_one(float *out, const float *b, const float *c, float scale,
                                             long long begin, long long end)
{
    const Worker worker = whole_grid();
    for (long long i = begin + worker.first; i < end; i += worker.step)
        out[i] = triad_of(b[i], c[i], scale);
}

struct alignas(16) Floats {
    float of[4];
};

extern "C" __global__ void read_plain(const char *from, long long nbytes, unsigned long long *sink)
{
    read<unsigned, 1>(from, nbytes, sink);
}

extern "C" __global__ void read_vector(const char *from, long long nbytes, unsigned long long *sink)
{
    read<Vector, 1>(from, nbytes, sink);
}

extern "C" __global__ void read_unrolled(const char *from, long long nbytes, unsigned long long *sink)
{
    read<Vector, 4>(from, nbytes, sink);
}

extern "C" __global__ void write_plain(char *to, long long nbytes, long long value)
{
    write<unsigned>(to, nbytes, value);
}

extern "C" __global__ void write_vector(char *to, long long nbytes, long long value)
{
    write<Vector>(to, nbytes, value);
}

// out[i] = b[i] + scale * c[i] for `count` floats, each pointer a multiple of 4.
extern "C" __global__ void triad_plain(float *out, const float *b, const float *c, long long scale,
                                       long long count)
{
    triad_of_one(out, b, c, (float)scale, 0, count);
}

// The same, 16 bytes at a time where the three begin alike, that is at the same address mod 16.
extern "C" __global__ void triad_vector(float *out, const float *b, const float *c, long long scale,
                                        long long count)
{
    if ((address(out) ^ address(b)) % 16 != 0 || (address(out) ^ address(c)) % 16 != 0) {
        triad_of_one(out, b, c, (float)scale, 0, count);
        return;
    }
    const Worker worker = whole_grid();
    const Split split(out, 4 * count, 16);
    const long long head = split.head / 4;
    Floats *outs = (Floats *)(out + head);
    const Floats *bs = (const Floats *)(b + head), *cs = (const Floats *)(c + head);
    for (long long i = worker.first; i < split.units; i += worker.step) {
        const Floats x = bs[i], y = cs[i];
        Floats z;
        for (int k = 0; k < 4; ++k)
            z.of[k] = triad_of(x.of[k], y.of[k], (float)scale);
        outs[i] = z;
    }
    triad_of_one(out, b, c, (float)scale, 0, head);
    triad_of_one(out, b, c, (float)scale, head + 4 * split.units, count);
}
