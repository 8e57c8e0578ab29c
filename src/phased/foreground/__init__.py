"""Work that somebody waits for in the foreground: followed here, or in another process that joined this one.

Knows the engine and one socket. Must not know terminals, files of settings, or how steps run.
"""
