// Element types as they lie in 32-bit words, and their sums; included by kernels that reduce.
//
// All sums are taken in float, in the order of the inputs, and rounded once, to nearest even.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <ranges.cu>

// In each: Item, the integer that one element fills; LANES, elements in a word, element 0 in its
// low bits; widen, a word's elements as floats; narrow, the word nearest to them.

struct Float32 {
    using Item = unsigned;
    static constexpr int LANES = 1;

    __device__ __forceinline__ static void widen(unsigned word, float *lanes)
    {
        memcpy(lanes, &word, 4);
    }

    __device__ __forceinline__ static unsigned narrow(const float *lanes)
    {
        unsigned word;
        memcpy(&word, lanes, 4);
        return word;
    }
};

struct Float16 {
    using Item = unsigned short;
    static constexpr int LANES = 2;

    __device__ __forceinline__ static void widen(unsigned word, float *lanes)
    {
        __half2 both;
        memcpy(&both, &word, 4);
        lanes[0] = __low2float(both);
        lanes[1] = __high2float(both);
    }

    __device__ __forceinline__ static unsigned narrow(const float *lanes)
    {
        const __half2 both = __floats2half2_rn(lanes[0], lanes[1]);
        unsigned word;
        memcpy(&word, &both, 4);
        return word;
    }
};

struct BFloat16 {
    using Item = unsigned short;
    static constexpr int LANES = 2;

    __device__ __forceinline__ static void widen(unsigned word, float *lanes)
    {
        Float32::widen(word << 16, lanes);
        Float32::widen(word & 0xffff0000u, lanes + 1);
    }

    __device__ __forceinline__ static unsigned narrow(const float *lanes)
    {
        const __nv_bfloat162 both = __floats2bfloat162_rn(lanes[0], lanes[1]);
        unsigned word;
        memcpy(&word, &both, 4);
        return word;
    }
};

// OCP 8-bit floating point; what is too large becomes the largest finite number, because the
// conversion instruction knows no other way (PTX ISA, "cvt": .satfinite).
template <__nv_fp8_interpretation_t KIND> struct Float8 {
    using Item = unsigned char;
    static constexpr int LANES = 4;

    __device__ __forceinline__ static void widen(unsigned word, float *lanes)
    {
        for (int pair = 0; pair < 2; ++pair) {
            const auto two = (__nv_fp8x2_storage_t)(word >> 16 * pair & 0xffffu);
            const __half2 both(__nv_cvt_fp8x2_to_halfraw2(two, KIND));
            lanes[2 * pair] = __low2float(both);
            lanes[2 * pair + 1] = __high2float(both);
        }
    }

    __device__ __forceinline__ static unsigned narrow(const float *lanes)
    {
        const float2 low = {lanes[0], lanes[1]}, high = {lanes[2], lanes[3]};
        return __nv_cvt_float2_to_fp8x2(low, __NV_SATFINITE, KIND) |
               (unsigned)__nv_cvt_float2_to_fp8x2(high, __NV_SATFINITE, KIND) << 16;
    }
};

using Float8E4M3 = Float8<__NV_E4M3>;
using Float8E5M2 = Float8<__NV_E5M2>;

// The sum of words, as it grows.
template <class Element> struct WordSum {
    float lanes[Element::LANES];

    __device__ __forceinline__ void begin(unsigned word) { Element::widen(word, lanes); }

    __device__ __forceinline__ void add(unsigned word)
    {
        float more[Element::LANES];
        Element::widen(word, more);
#pragma unroll
        for (int lane = 0; lane < Element::LANES; ++lane)
            lanes[lane] += more[lane];
    }

    __device__ __forceinline__ unsigned end() const { return Element::narrow(lanes); }
};

// A table in device memory with an address for each of `number` inputs or ranks. NUMBER is that
// number where it is known at compile time (else 0): then the addresses are held in registers, and
// loops over them are unrolled.
template <class Pointer, int NUMBER> struct Table {
    const Pointer *table;
    long long number;
    Pointer held[NUMBER ? NUMBER : 1];

    __device__ __forceinline__ Table(const Pointer *at, long long n) : table(at), number(n)
    {
#pragma unroll
        for (int k = 0; k < NUMBER; ++k)
            held[k] = table[k];
    }

    __device__ __forceinline__ Pointer operator[](long long k) const
    {
        return NUMBER ? held[k] : table[k];
    }

    __device__ __forceinline__ bool are_vectors() const
    {
        unsigned long long any = 0;
        for (long long k = 0; k < number; ++k)
            any |= address(table[k]);
        return any % 16 == 0;
    }
};

// What is summed: 2 inputs at least.
template <class Element, int NUMBER> struct Inputs {
    Table<const char *, NUMBER> inputs;

    __device__ __forceinline__ unsigned one(long long i) const
    {
        WordSum<Element> sum;
        for (long long k = 0; k < inputs.number; ++k) {
            const unsigned item = ((const typename Element::Item *)inputs.table[k])[i];
            k == 0 ? sum.begin(item) : sum.add(item);
        }
        return sum.end();
    }

    // The i-th 16 bytes, at addresses that are multiples of 16. Where the number is known, all
    // loads are on their way before the first addition.
    __device__ __forceinline__ Vector vector(long long i) const
    {
        WordSum<Element> sums[4];
        if constexpr (NUMBER != 0) {
            Vector loaded[NUMBER];
#pragma unroll
            for (int k = 0; k < NUMBER; ++k)
                loaded[k] = ((const Vector *)inputs[k])[i];
#pragma unroll
            for (int k = 0; k < NUMBER; ++k)
                add(loaded[k], k == 0, sums);
        } else {
            for (long long k = 0; k < inputs.number; ++k)
                add(((const Vector *)inputs[k])[i], k == 0, sums);
        }
        Vector out;
#pragma unroll
        for (int w = 0; w < 4; ++w)
            out.word[w] = sums[w].end();
        return out;
    }

    __device__ __forceinline__ static void add(const Vector &v, bool first, WordSum<Element> *sums)
    {
#pragma unroll
        for (int w = 0; w < 4; ++w)
            first ? sums[w].begin(v.word[w]) : sums[w].add(v.word[w]);
    }

    __device__ __forceinline__ bool are_vectors() const { return inputs.are_vectors(); }
};

// Where sums go: one buffer.
template <class Element> struct Output {
    char *to;

    __device__ __forceinline__ void one(long long i, unsigned bits) const
    {
        ((typename Element::Item *)to)[i] = (typename Element::Item)bits;
    }

    __device__ __forceinline__ void vector(long long i, const Vector &v) const
    {
        ((Vector *)to)[i] = v;
    }

    __device__ __forceinline__ bool are_vectors() const { return address(to) % 16 == 0; }
};

// Elements begin ... end of the reduction; begin is a multiple of 16 bytes.
template <class Element, class In, class Out>
__device__ __forceinline__ void sum_range(const In &in, const Out &out, long long begin,
                                          long long end, const Worker &worker)
{
    constexpr long long EACH = 16 / sizeof(typename Element::Item);
    if (in.are_vectors() && out.are_vectors()) {
        for (long long i = begin / EACH + worker.first; i < end / EACH; i += worker.step)
            out.vector(i, in.vector(i));
        begin = begin > end / EACH * EACH ? begin : end / EACH * EACH;
    }
    for (long long i = begin + worker.first; i < end; i += worker.step)
        out.one(i, in.one(i));
}
