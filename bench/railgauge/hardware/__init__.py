"""What stands in a host: GPUs, NICs, PCIe, NVLink, and what they allow."""
