"""Sheets: every masking rule and structure drawn on sample inputs of its kind."""
