"""The supervisor: which sessions live, whose agents stay resident, what operators see."""
