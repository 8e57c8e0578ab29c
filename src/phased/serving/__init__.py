"""The daemon that serves, put together: its parts, its sockets, its end. `serve.serve` is the way in."""
