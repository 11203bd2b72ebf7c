"""Model providers behind `hermes.ports.model`.

Import `ModelPools` from `hermes.adapters.models.pool`; the module `openai` next to
it costs 0.4 s to import and is loaded by the pools when the first handle is opened.
"""
