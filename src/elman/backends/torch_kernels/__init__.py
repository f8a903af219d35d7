"""The engine that runs torch's own kernels, such as cuDNN's, for the cells that torch has."""
