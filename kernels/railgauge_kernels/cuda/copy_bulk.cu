// Copies by the bulk copy engine of each SM (sm_90 and later): one thread a block keeps tiles in
// flight through shared memory, and no data passes through registers.
//
// Addresses and sizes of bulk copies are multiples of 16; what is not goes by loads and stores.
#include <bulk.cu>
#include <copying.cu>

constexpr int TILE = 8192, STAGES = 4; // dynamic shared memory: TILE * STAGES bytes

// Copies tiles first, first + step, ... of nbytes (all multiples of 16); one thread.
__device__ void copy_tiles(char *to, const char *from, long long nbytes, long long first,
                           long long step, char *stages, unsigned long long *full)
{
    const long long tiles = (nbytes + TILE - 1) / TILE;
    const long long mine = first < tiles ? (tiles - first + step - 1) / step : 0;
    const auto offset = [=](long long k) { return (first + k * step) * TILE; };
    const auto size = [=](long long k) {
        const long long left = nbytes - offset(k);
        return (unsigned)(left < TILE ? left : TILE);
    };
    const auto load = [=](long long k) {
        start_load(stages + k % STAGES * TILE, from + offset(k), size(k), full + k % STAGES);
    };
    for (long long k = 0; k < STAGES - 1 && k < mine; ++k)
        load(k);
    for (long long k = 0; k < mine; ++k) {
        await_load(full + k % STAGES, (unsigned)(k / STAGES % 2));
        // Written and read by the async proxy alone, and the wait above observed the writing: no
        // proxy fence in between.
        start_store(to + offset(k), stages + k % STAGES * TILE, size(k));
        if (k + STAGES - 1 < mine) {
            // The next load takes the stage of store k - 1: all stores but the latest have read
            // their stages.
            await_reading<1>();
            load(k + STAGES - 1);
        }
    }
    await_stores();
}

// Thread 0 sets up the barriers of the stages, which only it uses.
__device__ __forceinline__ void set_up(unsigned long long *full)
{
    for (int stage = 0; stage < STAGES; ++stage)
        set_up_barrier(full + stage);
    publish_barriers();
}

// One copy by block `block` of `blocks`, of at least 32 threads.
__device__ void copy_bulk_by(char *to, const char *from, long long nbytes, long long block,
                             long long blocks)
{
    extern __shared__ __align__(128) char stages[];
    __shared__ unsigned long long full[STAGES];
    const Worker worker = {block * blockDim.x + threadIdx.x, blocks * blockDim.x};
    if ((address(to) ^ address(from)) % 16 != 0) {
        copy<Vector, 4>(to, from, nbytes, worker);
        return;
    }
    const Split split(to, nbytes, 16);
    if (threadIdx.x == 0) {
        set_up(full);
        copy_tiles(to + split.head, from + split.head, 16 * split.units, block, blocks, stages,
                   full);
    } else {
        // at most 30 bytes, for the threads behind thread 0 of the first block
        copy_edges(to, from, split, 16, {worker.first - 1, worker.step});
    }
}

extern "C" __global__ void copy_bulk(char *to, const char *from, long long nbytes)
{
    copy_bulk_by(to, from, nbytes, blockIdx.x, gridDim.x);
}

// nbytes each way at the same time, by half of the blocks each.
extern "C" __global__ void copy_bulk_bidirectional(char *to, const char *from, char *back_to,
                                                   const char *back_from, long long nbytes)
{
    const Half half;
    if (half.first)
        copy_bulk_by(to, from, nbytes, half.block, half.blocks);
    else
        copy_bulk_by(back_to, back_from, nbytes, half.block, half.blocks);
    if (half.first && half.second) // a single block; its barriers are used up
        copy<Vector, 4>(back_to, back_from, nbytes, half.worker());
}
