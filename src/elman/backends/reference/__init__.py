"""The reference engine: slow and simple, for every device, twice differentiable."""
