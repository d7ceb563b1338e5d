"""The remote commands of `longstream`: each file registers its own, and calls the services through the
client."""
