"""phased: an automation task-execution engine daemon for development environments."""

__version__ = "0.1.0"
