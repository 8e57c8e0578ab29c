"""Firings of triggers: what they start, join and end, each on record; and prebuilds."""
