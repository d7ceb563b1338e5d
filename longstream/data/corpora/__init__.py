"""Corpora whose own structure asks the question: read, and turned into pairs without a language model."""
