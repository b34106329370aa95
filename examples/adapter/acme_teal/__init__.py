"""Adapters of the systems of Acme for tealdeck."""
