"""FastAPI around the boosters alone: uvicorn fastapi_boosters:app --app-dir bench/servers."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
from boosters import Boosters
from fastapi import FastAPI, Response
from pydantic import BaseModel


class Asked(BaseModel):
    customer_ids: list[str]
    top: int = 5


app = FastAPI()
model = Boosters([Path(p) for p in os.environ["BENCH_BUNDLES"].split(os.pathsep)], Path(os.environ["BENCH_ONLINE"]))


@app.post("/predict")
async def predict(asked: Asked) -> Response:
    return Response(orjson.dumps(model.answers(asked.customer_ids, asked.top)), media_type="application/json")
