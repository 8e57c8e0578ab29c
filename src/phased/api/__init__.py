"""The daemon's API over HTTP: Connect, JSON Lines, server-sent events, logs, health and metrics.

Knows the contract and the engine's interfaces. Must not decide anything: handlers validate, call, convert.
"""
