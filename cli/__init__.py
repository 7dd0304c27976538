"""What the command line shares: the options and the session of a verb, and what it prints at the end.

In: results of the packages, as plain dicts. Out: tables on the screen. The verbs stand in `staycast.py`. May import
`configs`; all else inside a function, so that help is quick.
"""

import os

# Before NumPy is imported: sums come in one order on machines of any size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
