"""CUDA C++ sources (package data); `railgauge_kernels.images.cuda_image` compiles them."""
