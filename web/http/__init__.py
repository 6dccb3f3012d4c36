"""What every request passes: access, errors, quotas, languages, logging, metrics."""
