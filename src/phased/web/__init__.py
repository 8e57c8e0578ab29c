"""The pages for a browser: what runs, why it waits, what it prints.

Server-rendered, with small modules of our own. `pages` is the application; each kind of page has a module,
named in `pages.PAGES`. They ask the API's own methods, in this process (`visit`), and know no other way into
the engine.
"""
