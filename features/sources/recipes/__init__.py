"""What the exports of well-known systems are called and mean: one YAML file a system, applied to a user's files.

In: `<system>.yaml`, see `recipe`, and the files that ``staycast init --recipe <system>`` names. Out: what a
configuration says that reads them, each choice explained. May import `features.sources.proposal` and what that imports.
"""
