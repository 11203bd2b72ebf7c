"""The plain data of the wire: frames, params, updates and results, with no I/O."""
