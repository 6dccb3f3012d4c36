"""What is fitted on held-out observations: temperature, priors, thresholds."""
