"""The composition root: every real part, plugged into its seam."""
