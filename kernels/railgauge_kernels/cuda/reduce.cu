// out = the sum of several inputs, all in this GPU's reach: the local half of every reduction.
//
// `inputs` is a table of `number` addresses in device memory. `out` may be one of the inputs.
#include <elements.cu>

// One element at a time.
template <class Element>
__device__ void reduce_plain(char *out, const char *const *inputs, long long number, long long count)
{
    const Inputs<Element, 0> in = {{inputs, number}};
    const Output<Element> to = {out};
    const Worker worker = whole_grid();
    for (long long i = worker.first; i < count; i += worker.step)
        to.one(i, in.one(i));
}

// 16 bytes at a time where all addresses are multiples of 16.
template <class Element, int INPUTS>
__device__ void reduce_vector(char *out, const char *const *inputs, long long number, long long count)
{
    const Inputs<Element, INPUTS> in = {{inputs, number}};
    const Output<Element> to = {out};
    sum_range<Element>(in, to, 0, count, whole_grid());
}

// The same with the loads of all inputs on their way at once.
template <class Element>
__device__ void reduce_unrolled(char *out, const char *const *inputs, long long number,
                                long long count)
{
    if (number == 2)
        reduce_vector<Element, 2>(out, inputs, number, count);
    else if (number == 4)
        reduce_vector<Element, 4>(out, inputs, number, count);
    else if (number == 8)
        reduce_vector<Element, 8>(out, inputs, number, count);
    else
        reduce_vector<Element, 0>(out, inputs, number, count);
}

#define KERNELS(name, Element)                                                                     \
    extern "C" __global__ void reduce_plain_##name(char *out, const char *const *inputs,           \
                                                   long long number, long long count)              \
    {                                                                                              \
        reduce_plain<Element>(out, inputs, number, count);                                         \
    }                                                                                              \
    extern "C" __global__ void reduce_vector_##name(char *out, const char *const *inputs,          \
                                                    long long number, long long count)             \
    {                                                                                              \
        reduce_vector<Element, 0>(out, inputs, number, count);                                     \
    }                                                                                              \
    extern "C" __global__ void reduce_unrolled_##name(char *out, const char *const *inputs,        \
                                                      long long number, long long count)           \
    {                                                                                              \
        reduce_unrolled<Element>(out, inputs, number, count);                                      \
    }

KERNELS(float32, Float32)
KERNELS(float16, Float16)
KERNELS(bfloat16, BFloat16)
KERNELS(float8_e4m3fn, Float8E4M3)
KERNELS(float8_e5m2, Float8E5M2)
