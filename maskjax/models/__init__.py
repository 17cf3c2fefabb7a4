"""Linen modules: they receive masks or indices, never draw them, and never see a config."""
