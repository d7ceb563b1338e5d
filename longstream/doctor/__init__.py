"""What `longstream doctor` looks at. A check gets a Place, changes nothing, and yields findings; `examine.CHECKS` lists
them all, each bounded in time."""
