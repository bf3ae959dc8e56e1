// Load on the tensor cores: for power, and for what a matrix multiplication takes from a collective.
#include <cuda_fp16.h>
#include <tensor.cu>

__device__ __forceinline__ unsigned two_halves(int low, int high)
{
    const unsigned l = __half_as_ushort(__int2half_rn(low));
    return l | (unsigned)__half_as_ushort(__int2half_rn(high)) << 16;
}

__device__ __forceinline__ int a_of(int row, int k) { return (row * 37 + k * 11) % 127 - 63; }
__device__ __forceinline__ int b_of(int k, int column) { return (k * 29 + column * 53) % 255 - 127; }

// Four accumulators a warp; one round adds a b and takes it away again, eight multiplications in
// all. After the rounds a b is added once more, and state[t] is the sum of the thread's 16
// accumulated numbers: integers below 2^24 throughout, so the result is exact.
// Which lane holds which element: see tensor.cu. `state` has one float for every thread of the grid;
// the block is a whole number of warps.
extern "C" __global__ void burn_tensor(float *state, long long rounds)
{
    const int row = threadIdx.x % 32 / 4, pair = threadIdx.x % 4 * 2;
    unsigned a[4], b[2], minus_b[2];
    for (int j = 0; j < 4; ++j) {
        const int r = row + j % 2 * 8, k = pair + j / 2 * 8;
        a[j] = two_halves(a_of(r, k), a_of(r, k + 1));
    }
    for (int j = 0; j < 2; ++j) {
        const int k = pair + j * 8;
        b[j] = two_halves(b_of(k, row), b_of(k + 1, row));
        minus_b[j] = b[j] ^ 0x80008000u;
    }
    float sums[4][4];
    for (int n = 0; n < 4; ++n)
        for (int j = 0; j < 4; ++j)
            sums[n][j] = n;
    for (long long round = 0; round < rounds; ++round) {
#pragma unroll
        for (int n = 0; n < 4; ++n)
            multiply_add(sums[n], a, b);
#pragma unroll
        for (int n = 0; n < 4; ++n)
            multiply_add(sums[n], a, minus_b);
    }
    float total = 0;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        multiply_add(sums[n], a, b);
        for (int j = 0; j < 4; ++j)
            total += sums[n][j];
    }
    state[(long long)blockIdx.x * blockDim.x + threadIdx.x] = total;
}
