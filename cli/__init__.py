"""What the command line shares: the options and the session of a verb, and what it prints at the end.

In: results of the packages, as plain dicts. Out: tables on the screen. The verbs stand in `staycast.py`. May import
`configs`; all else inside a function, so that help is quick.
"""

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # before NumPy is imported: of small matrices, threads wait for threads
