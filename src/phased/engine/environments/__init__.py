"""Environments of a daemon: made, filled, started, stopped, deleted; and what may be asked of all of them."""
