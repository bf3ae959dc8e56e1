"""GPUs: the driver, memory, copies, peers, and what a node's GPUs give by themselves."""
