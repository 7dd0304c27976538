"""What a version must show before it serves: that its files are those that were registered, and who decided on it.

In: a folder of files, the ledger. Out: a hash over all files, or what was changed; the decisions in their order. Reads
alone, but for the manifest of a bundle that is being saved. May import `configs`.
"""
