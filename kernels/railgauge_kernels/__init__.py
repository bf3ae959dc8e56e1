"""Device code: CUDA C++ and Numba kernels; knows nothing of benchmarks."""
