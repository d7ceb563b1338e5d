"""The instructor writes the instruction that a human-written document could be the answer to (LongForm), and refines
answers by introspection (Long Is More for Alignment).

Topics in:   selected
Topics out:  rows
Calls:       Generate, GenerateStream, Refine
State:       none; a row's id was made by the owner who asked for it
"""
