"""Argo Rollouts: a Rollout moves the traffic of a service by its strategy, blueGreen or canary."""
