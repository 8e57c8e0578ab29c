"""Entry of the supervisor: `python -I -S .../phased/supervisor/__main__.py [--as UID:GID:GROUPS] DIRECTORY`.

It is run as a plain file, without site-packages, since that starts fastest; so it finds its own package
first. Descriptors 3, 4 and 5 are the held lock, the listening socket and the first connection.
"""

import sys

if not __package__:
    sys.path.insert(0, __file__.rsplit("/", 3)[0])

from phased.supervisor.actions import Actions
from phased.supervisor.identity import FLAG, take_on
from phased.supervisor.loop import main

if __name__ == "__main__":
    if sys.argv[1] == FLAG:
        take_on(sys.argv[2])
    main(sys.argv[-1], Actions())
