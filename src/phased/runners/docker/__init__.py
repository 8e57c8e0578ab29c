"""Steps as containers of an engine that speaks docker's command line: docker itself, or podman."""
