"""What a person sees at the end of a command: short tables of what was done, and where to look next.

In: results of the stages, as plain dicts. Out: renderables of rich. May import all that the stages may.
"""
