// Load without memory traffic: for overlap and for power.

// Fused multiply-adds in eight chains a thread: state[t] becomes the sum of its eight chains after
// `rounds` steps x = x * a + b. Chain k begins at state[t] + k; a and b keep it near b / (1 - a) = 2
// with all bits of the mantissa in motion. `state` has one float for every thread of the grid.
extern "C" __global__ void burn(float *state, long long rounds)
{
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const float a = -0.7f, b = 3.4f;
    float x[8];
    for (int k = 0; k < 8; ++k)
        x[k] = state[thread] + k;
    for (long long round = 0; round < rounds; ++round) {
#pragma unroll
        for (int k = 0; k < 8; ++k)
            x[k] = fmaf(x[k], a, b);
    }
    state[thread] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}
