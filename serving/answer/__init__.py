"""From a feature row to an answer: the champions, the scores, the decisions in words. Pure but for loading models.

In: feature rows. Out: answers as `serving.api.schema.answers.Answer` describes them. May import nothing else of
serving.
"""
