"""What a version must show before it serves: that its files are those that were registered, and who decided on it.

In: a folder of files, the ledger, the registry. Out: a hash over all files, or what was changed; which version is to
serve. May import `configs` and `training.model.catalog`.
"""
