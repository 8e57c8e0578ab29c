"""The small process that is the parent of all steps, and how to talk to it.

Standard library only, single-threaded, no policy. It must not know tasks, plans, phases or the store: a
run is an id, a command, an environment, a directory and a log. Modules here import little on purpose
(no dataclasses, typing, pathlib or re): the process stands in the way of the first step.

    __main__   the entry            loop       connections and the turn of events
    steps      starting, ending     spawning   one posix_spawn, and what a step finds around itself
    output     pipe to log          census     which processes belong to which run, and signals to them
    cgroups    a cgroup for each run, where they were delegated
    journal    what happened        generation lock, journal and socket of one supervisor
    channel    JSON lines           client     the daemon's side
    actions    all that is done to the outside, in one place
"""
