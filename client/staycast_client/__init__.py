"""A typed client of a Staycast service.

    from staycast_client import ApiKey, Client

    with Client("https://churn.acme.example", ApiKey("staycast_...")) as client:
        client.predict("1038")["churn"]

In: ids, events. Out: answers as typed dictionaries, failures as `ProblemError`. Imports httpx alone, nothing of the
service.
"""

from staycast_client.auth import ApiKey, ClientCredentials
from staycast_client.client import AsyncClient, Client
from staycast_client.errors import ConnectionFailedError, ProblemError, StaycastClientError
from staycast_client.retry import Retry

__all__ = [
    "ApiKey",
    "AsyncClient",
    "Client",
    "ClientCredentials",
    "ConnectionFailedError",
    "ProblemError",
    "Retry",
    "StaycastClientError",
]
