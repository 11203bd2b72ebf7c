"""What the daemon costs: each figure beside its floor or peer of the same run."""
