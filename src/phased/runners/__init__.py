"""How a step runs: one module a way."""
