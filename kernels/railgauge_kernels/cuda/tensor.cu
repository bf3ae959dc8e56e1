// A matrix product of a warp; included by burn_tensor.cu.
#pragma once

// Which lane holds which element: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point
// type".
// d += a b with a of 16 x 16, b of 16 x 8 binary16 and d of 16 x 8 float, spread over a warp.
__device__ __forceinline__ void multiply_add(float (&d)[4], const unsigned (&a)[4],
                                             const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
