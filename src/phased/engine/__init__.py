"""The async shell around the core: receives, lets the machines handle, saves, performs."""
