"""The pure core: plans, states, transitions and versions. Decides; never does.

Nothing here reads a clock, a file or an environment variable, or waits.
"""
