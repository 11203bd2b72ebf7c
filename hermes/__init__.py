"""Hermes: an actor-model runtime on Trio for LLM agents."""

__version__ = "0.1.0"
