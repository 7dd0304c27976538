"""What is asked and what is answered, as pydantic models: closed and strict, no unknown field, no guess.

In: bodies of requests. Out: requests and events as models, and the OpenAPI document. Answers are described here, and
checked in tests; they are not checked again as they are served. May import `serving.api.contract`,
`serving.api.metrics` and `serving.api.problems`.
"""
