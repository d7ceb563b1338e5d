"""The same selection as the service's, over files: `longstream curate`."""
