"""A user's files -> what each seems to be, and the configuration that reads them.

In: columns of files, in any of the languages of `lexicon`. Out: guesses with their reasons (`tables`), and what they
suggest for the business as a whole (`business`, `yaml_text`). No ingest reads anything here: what is proposed stands in
the YAML file, where the user corrects it. May import what reads values and files beside it, and `features.tables`.
"""
