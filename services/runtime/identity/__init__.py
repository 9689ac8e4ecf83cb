"""Who calls: tokens and their keys, keys of an API, certificates."""
