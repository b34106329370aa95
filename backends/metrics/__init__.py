"""Numbers over time: the adapters of the port `Metrics`."""
