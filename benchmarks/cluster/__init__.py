"""The cluster: cost, failures, placement, scale."""
