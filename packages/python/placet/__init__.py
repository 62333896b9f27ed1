"""Placet's own package for Python: what Microsoft's `durabletask` does not have. Tests want `placet.testing`."""
