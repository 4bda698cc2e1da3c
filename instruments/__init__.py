"""Drivers by vendor, the VISA link they speak over, and the guard through which a magnet is reached."""
