"""Histories of items: who had what, in order of time."""
