// Load without memory traffic: for overlap and for power.

// Fused multiply-adds in eight chains a thread. Chain k begins at state[t] + k / 8 and takes
// `rounds` steps of the quadratic map x = 1.9 - x * x, which never settles, so that the bits keep
// moving, and never leaves [-1.966, 1.966] (J. Milnor, Dynamics in One Complex Variable: the larger
// fixed point bounds it). state[t] becomes the sum of the chains / 16, from where a next launch can
// go on. `state` has one float, in [-1, 1], for every thread of the grid.
extern "C" __global__ void burn(float *state, long long rounds)
{
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    float x[8];
    for (int k = 0; k < 8; ++k)
        x[k] = state[thread] + 0.125f * k;
    for (long long round = 0; round < rounds; ++round) {
#pragma unroll
        for (int k = 0; k < 8; ++k)
            x[k] = fmaf(-x[k], x[k], 1.9f);
    }
    state[thread] =
        (((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]))) * 0.0625f;
}
