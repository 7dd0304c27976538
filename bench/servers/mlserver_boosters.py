"""MLServer around the boosters alone, a runtime of its own: ids in as BYTES, answers out as one JSON text."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
from boosters import Boosters
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class BoostersRuntime(MLModel):
    async def load(self) -> bool:
        bundles = [Path(p) for p in os.environ["BENCH_BUNDLES"].split(os.pathsep)]
        self._boosters = Boosters(bundles, Path(os.environ["BENCH_ONLINE"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        ids = StringCodec.decode_input(payload.inputs[0])
        text = orjson.dumps(self._boosters.answers(ids, 5)).decode()
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("answers", [text])])
