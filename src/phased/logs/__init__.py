"""What steps wrote: reading and following log files, as bytes. Paths in, bytes out.

`reading` is one file or a part of it, `watching` is being told of changes in folders, `viewing` is several
logs as one, whole or as they grow. Must not know executions, stores or terminals, nor who asks.
"""
