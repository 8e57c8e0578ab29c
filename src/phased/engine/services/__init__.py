"""Services in the engine: the same loop as executions have, around the machines of services."""
