"""Where pickles of version 0.1 look for the class."""

from skgen.vae._architecture import Architecture

__all__ = ["Architecture"]
