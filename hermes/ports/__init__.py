"""The seams: what the runtime needs of the world, as protocols and plain data.

Nothing here does I/O.  The daemon plugs real parts in, the simulation in-memory
ones (row K7).
"""
