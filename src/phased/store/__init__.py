"""Where truth is kept: `sqlite` on disk, `memory` with the same contract, and the state directory.

Import what you need from its modules: a dry run keeps everything in memory and should not load SQLite.
"""
