"""From a few seed tasks to a trained, measured student model."""

__version__ = "0.1.0"
