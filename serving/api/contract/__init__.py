"""How the contract is written: a table of operations and pydantic models -> OpenAPI 3.1, 3.0.3 and Swagger 2.0.

In: operations, as `serving.api.schema.openapi` lists them. Out: documents as plain objects, and what a newer document
takes from those who hold an older one. Pure functions. May import `serving.api.problems` and `serving.access.roles`.
"""
