"""In: a key, or a token of an identity provider. Out: who asks, whether they may, whether they ask too much.

Imports: settings, the workspace, and durable files of `features.store`.
"""
