"""The compiled rung against Numba (and gilmap, where it is installed), kernel by kernel."""
