"""What answers each method: validate, ask the engine, convert. One module a noun.

The table of routes names them. Know messages and the engine's interfaces. Must not know HTTP.
"""
