"""Longstream's library: what more than one of its programs needs. It knows no service."""
