"""What the numbers mean: models, estimators and their uncertainties. Arrays in, results out; no I/O, no clock."""
