"""Argo CD: an Application is synced to a revision of git, by its API or by its object in the cluster."""
