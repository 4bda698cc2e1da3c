"""Other makers' data files, read as they are: what they hold in our columns and SI, and what is wrong with them.

A reader is a pure function from a path to a `ForeignFile`. It recognises its files by what is in them, never by the
name, keeps the header and every value as written, and runs nothing.
"""

from .foreign import ForeignFile
from .micromag import read_micromag
from .quantum_design import read_quantum_design
from .recognise import read_foreign

__all__ = ["ForeignFile", "read_foreign", "read_micromag", "read_quantum_design"]
