"""What keeps a text out of a selection although it is long enough."""
