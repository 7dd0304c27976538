"""One module a kind of resource: the answers of its endpoints, and their routes.

In: requests, as `serving.api.schema` reads them. Out: answers, or errors of `serving.api.problems`; each module has a
class whose ``routes`` are those of `serving.api.app`. May import `serving.bulk`, `serving.records`, `serving.answer`
and the modules of `serving.api` but the app.
"""
