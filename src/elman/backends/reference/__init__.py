"""The reference engine: slow, obvious, on every device, differentiable twice; the oracle."""
