"""Who may do what, and what nobody may see: peers, tokens, roles, secrets and the masking of logs.

Import what you need from its modules: `callers` says who asks and whether they may, `vault` keeps secrets,
`masking` hides them. Must not know the API's methods: its table of routes says which roles suffice for each.
"""
