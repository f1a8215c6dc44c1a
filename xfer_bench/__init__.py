"""Intermediate-task training and zero-shot cross-lingual transfer: train, evaluate item by item, compare."""

__version__ = "0.1.0"
