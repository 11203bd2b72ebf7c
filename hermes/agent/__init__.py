"""What a session actor owns: the model handle, the frozen prompt, the history, the turn loop.

The session knows it by the ports in `hermes.ports.agent` only.
"""
