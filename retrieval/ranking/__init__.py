"""Pure functions from neighbours to scores: votes, prototypes, fusion, priors, calibration. NumPy only."""
