"""What is seen of a run: a window that listens. Only this room imports Qt; it decides nothing."""
