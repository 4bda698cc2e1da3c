"""What to measure: each procedure a pymeasure `Procedure` whose `acquire(station)` yields rows."""
