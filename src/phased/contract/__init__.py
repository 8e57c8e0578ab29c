"""The public vocabulary: the shared models and the API's messages, one noun a file.

Knows shapes and their rules, nothing else. Nothing here imports the whole of it: a program pays for the
nouns that it uses.
"""
