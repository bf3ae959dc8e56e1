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
    const unsigned mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const auto all = on_cpu_share(mine, 6);
    for (int j = 0; j < 4; ++j) {
        const int row = threadIdx.x % 32 / 4 + j / 2 * 8, column = threadIdx.x % 4 * 2 + j % 2;
        for (int k = 0; k < 16; ++k) {
            const int pair = k % 8 / 2, word = k / 8;
            const unsigned from_a = all[row % 8 * 4 + pair][word * 2 + row / 8];
            const unsigned from_b = all[column * 4 + pair][4 + word];
            d[j] += half_of(from_a, k % 2) * half_of(from_b, k % 2);
        }
    }
}
