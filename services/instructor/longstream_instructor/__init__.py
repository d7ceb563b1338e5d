"""The instructor writes the instruction that a human-written document could be the answer to (LongForm).

Topics in:   selected
Topics out:  rows
Calls:       Generate
State:       none; a row's id was made by the owner who asked for it
"""
