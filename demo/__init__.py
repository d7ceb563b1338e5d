"""The demonstration: the whole suite on one machine, with a base model that is made on the spot."""
