"""Use cases, one class per noun: load, decide, store, tell."""
