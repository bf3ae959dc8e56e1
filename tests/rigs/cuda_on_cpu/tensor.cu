// Stands before the source of that name: the matrix product of a warp, whose lanes exchange their
// fragments.
#pragma once
#include <cuda_fp16.h>

inline float half_of(unsigned word, int high)
{
    return __half2float(__ushort_as_half((unsigned short)(word >> 16 * high)));
}

// Fragments as in the PTX ISA: a's four words hold rows r and r + 8, columns 2 p + {0, 8} and the
// next; b's two hold rows 2 p + {0, 8} and the next of column r (r = lane / 4, p = lane % 4).
inline void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    unsigned as[32][4], bs[32][2];
    for (unsigned lane = 0; lane < 32; ++lane) {
        for (int j = 0; j < 4; ++j)
            as[lane][j] = (unsigned)on_cpu_exchange(a[j], lane);
        for (int j = 0; j < 2; ++j)
            bs[lane][j] = (unsigned)on_cpu_exchange(b[j], lane);
    }
    for (int j = 0; j < 4; ++j) {
        const int row = threadIdx.x % 32 / 4 + j / 2 * 8, column = threadIdx.x % 4 * 2 + j % 2;
        for (int k = 0; k < 16; ++k) {
            const int pair = k % 8 / 2, word = k / 8;
            const unsigned from_a = as[row % 8 * 4 + pair][word * 2 + row / 8];
            const unsigned from_b = bs[column * 4 + pair][word];
            d[j] += half_of(from_a, k % 2) * half_of(from_b, k % 2);
        }
    }
}
