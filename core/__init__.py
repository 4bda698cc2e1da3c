"""What every room shares: time, errors, quantities, records and capabilities. Imports nothing else of ours."""
