"""What runs it all: the station, the runner, the live fit, recipes, and the figure of a finished run."""
