"""What was answered, on disk before the answer is sent.

In: answers. Out: rows to replay, to compare with what came, and to erase. May import nothing else of serving.
"""
