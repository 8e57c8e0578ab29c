"""Small real implementations of the ports, for tests of this program and of what is built on it."""
