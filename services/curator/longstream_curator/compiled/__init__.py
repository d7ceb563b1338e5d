"""What is compiled: the only modules that load Numba."""
