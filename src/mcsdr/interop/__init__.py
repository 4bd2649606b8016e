"""Weights of other projects: reading their checkpoints safely, and what becomes of them here."""
