"""The HTTP service as a plain Starlette app: routes, guards, problems, events that are accepted, counts.

In: requests. Out: answers, problems (RFC 9457), metrics. All that it rests on comes as an argument. May import
`serving.answer`.
"""
