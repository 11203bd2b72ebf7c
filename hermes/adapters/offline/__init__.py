"""The offline model: rules instead of a network, served over real HTTP on loopback."""

from hermes.adapters.offline.server import OfflineModel, serve_offline

__all__ = ["OfflineModel", "serve_offline"]
