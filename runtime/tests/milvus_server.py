"""Milvus's REST API before Milvus Lite's engine, stricter than Milvus: members that its API does not have are refused.

What Milvus's own sources say of the API is kept: errors have the status 200, whole numbers and documents come back as
texts, a function's output is never written, a new collection takes a while to load. No value may stand in the text of
a condition. Runs in the Python of `tools/milvus`. It prints its port, and serves until its standard input ends.
"""

import json
import operator
import os
import re
import sys
import tempfile
import threading

from json_server import JsonHandler, serve
from milvus_lite import MilvusLite
from milvus_lite.schema.types import (
    CollectionSchema,
    DataType,
    FieldSchema,
    Function,
    FunctionType,
)
from milvus_lite.search.filter import eval as evaluation
from milvus_lite.search.filter.eval import python_backend

KEY = sys.argv[1] if len(sys.argv) > 1 else ""
LOCK = threading.Lock()
MOST_ROWS = 16_384
TYPES = {
    **{name: DataType[name.upper()] for name in ("VarChar", "Bool", "JSON", "Float", "Double")},
    **{f"Int{size}": DataType[f"INT{size}"] for size in (8, 16, 32, 64)},
    "FloatVector": DataType.FLOAT_VECTOR,
    "SparseFloatVector": DataType.SPARSE_FLOAT_VECTOR,
}
WHOLE = ("Int8", "Int16", "Int32", "Int64")
PYTHON = {**dict.fromkeys(WHOLE, int), "VarChar": str, "Bool": bool, "JSON": dict}
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,254}"
KNOWN = {}
"""What the engine does not keep: of each collection the request that made it, and how often its state was asked for."""


class RefusedError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def refuse(message, code=1100):
    raise RefusedError(code, message)


# -- what Milvus compares, as it does ----------------------------------------------------------------


def _strict(function, *, otherwise):
    """To the server values of two sorts are different, to Python a truth value is a number."""

    def sort(value):
        return (
            float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
        )

    return lambda left, right: function(left, right) if sort(left) is sort(right) else otherwise


SIGNS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
python_backend._CMP_OPS = {
    sign: _strict(getattr(operator, name), otherwise=name == "ne") for sign, name in SIGNS.items()
}
evaluation.evaluate_hybrid = evaluation.evaluate_python


def literal(value):
    """Return a value as the language of conditions has it; whole numbers are such, as in Milvus."""
    if isinstance(value, list):
        if not value:
            refuse("an array of no values")
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        signs = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        return '"' + "".join(signs.get(sign, sign) for sign in value) + '"'
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    return repr(value)


def bound(body):
    """Return the condition of a request with its values."""
    text, values = body.get("filter", ""), body.get("exprParams", {})
    keys = r'\["[A-Za-z_][A-Za-z0-9_.-]*"\]'
    if re.search(r"""["'0-9]""", re.sub(rf"{keys}|\{{\w+\}}|\b[A-Za-z_]\w*", "", text)):
        refuse(f"a value is part of the text of a condition: {text}")
    names = re.findall(r"\{(\w+)\}", text)
    if {*names} != values.keys():
        refuse(f"the values are {sorted(values)}, and the condition {text} asks for others")
    return re.sub(r"\{(\w+)\}", lambda match: literal(values[match[1]]), text)


# -- requests ----------------------------------------------------------------------------------------

SHAPES = {
    "/collections/describe": {},
    "/collections/get_load_state": {},
    "/collections/create": {"schema": dict, "indexParams": list, "params?": dict},
    "/indexes/list": {},
    "/indexes/describe": {"indexName": str},
    "/entities/upsert": {"data": list},
    "/entities/delete": {"filter": str, "exprParams?": dict},
    "/entities/query": {"filter": str, "exprParams?": dict, "outputFields": list, "limit": int},
    "/entities/search": {
        "annsField": str, "data": list, "filter?": str, "exprParams?": dict, "limit": int, "outputFields": list,
    },
}  # fmt: skip
FIELD = {"fieldName": str, "dataType": str, "isPrimary?": bool, "nullable?": bool, "elementTypeParams": dict}  # fmt: skip
FUNCTION = {
    "name": str,
    "type": str,
    "description?": str,
    "inputFieldNames": list,
    "outputFieldNames": list,
}
INDEX = {"fieldName": str, "indexName": str, "indexType": str, "metricType": str}
SCHEMA = {"fields": list, "functions?": list, "enableDynamicField?": bool}


def check(body, shape):
    names = {name.rstrip("?"): kind for name, kind in shape.items()}
    for name, value in body.items():
        if name not in names or not isinstance(value, names[name]):
            refuse(f"invalid member {name}")
    for name in shape:
        if not name.endswith("?") and name not in body:
            refuse(f"missing required parameter {name}", 1802)


def create(engine, name, body):
    schema = body["schema"]
    check(schema, SCHEMA)
    for shape, parts in (
        (FIELD, schema["fields"]), (FUNCTION, schema.get("functions", [])), (INDEX, body["indexParams"]),
    ):  # fmt: skip
        for part in parts:
            check(part, shape)
    if not re.fullmatch(NAME, name):
        refuse(f"Invalid collection name: {name}")
    if engine.has_collection(name):
        refuse(f"collection {name} already exists", 65535)
    outputs = {one for part in schema.get("functions", []) for one in part["outputFieldNames"]}
    made = engine.create_collection(
        name,
        CollectionSchema(
            fields=[field_of(one, outputs) for one in schema["fields"]],
            enable_dynamic_field=schema.get("enableDynamicField", False),
            functions=[
                Function(one["name"], FunctionType[one["type"]], one["inputFieldNames"], one["outputFieldNames"])
                for one in schema.get("functions", [])
            ],
        ),
    )  # fmt: skip
    for one in body["indexParams"]:
        # Exact, as few vectors as a test has are in Milvus.
        kind = {"AUTOINDEX": "FLAT"}.get(one["indexType"], one["indexType"])
        made.create_index(one["fieldName"], {"index_type": kind, "metric_type": one["metricType"]})
    if body["indexParams"]:
        made.load()
    KNOWN[name] = {"made": body, "asked": 0, "outputs": outputs}
    return {}


def field_of(one, outputs):
    params = one["elementTypeParams"]
    if one["dataType"] not in TYPES:
        refuse(f"data type {one['dataType']} is invalid(case sensitive)")
    if one["dataType"] == "VarChar" and not 1 <= params["max_length"] <= 65535:
        refuse("the maximum length specified for the field should be in (0, 65535]")
    return FieldSchema(
        one["fieldName"],
        TYPES[one["dataType"]],
        is_primary=one.get("isPrimary", False),
        dim=params.get("dim"),
        max_length=params.get("max_length"),
        nullable=one.get("nullable", False),
        enable_analyzer=params.get("enable_analyzer", False),
        analyzer_params=params.get("analyzer_params"),
        is_function_output=one["fieldName"] in outputs,
    )


def fields_of(name):
    return {one["fieldName"]: one for one in KNOWN[name]["made"]["schema"]["fields"]}


def is_dynamic(name):
    return KNOWN[name]["made"]["schema"].get("enableDynamicField", False)


def described_index(one):
    return {key: one[key] for key in ("fieldName", "indexName", "metricType")}


def describe(engine, name, body):
    made, fields = KNOWN[name]["made"], fields_of(name)
    first = next(one for one, field in fields.items() if "Vector" in field["dataType"])
    return {
        "collectionName": name,
        "description": "",
        "enableDynamicField": is_dynamic(name),
        "fields": [
            {
                "name": one,
                "type": field["dataType"],
                "primaryKey": field.get("isPrimary", False),
                "nullable": field.get("nullable", False),
                "params": [
                    {"key": key, "value": value if isinstance(value, str) else json.dumps(value)}
                    for key, value in field["elementTypeParams"].items()
                ],
            }
            for one, field in fields.items()
        ],
        "functions": [
            {"params": None, **one, "type": FunctionType[one["type"]].value}
            for one in made["schema"].get("functions", [])
        ],
        "indexes": [described_index(one) for one in made["indexParams"] if one["fieldName"] == first],
        "load": "LoadStateLoaded",
    }  # fmt: skip


def indexes(engine, name, body):
    return [one["indexName"] for one in KNOWN[name]["made"]["indexParams"]]


def index(engine, name, body):
    found = [
        one for one in KNOWN[name]["made"]["indexParams"] if one["indexName"] == body["indexName"]
    ]
    return [described_index(one) for one in found] or refuse("index not found", 700)


def load_state(engine, name, body):
    KNOWN[name]["asked"] += 1
    if KNOWN[name]["asked"] == 1:
        return {"loadState": "LoadStateLoading", "loadProgress": 50}
    return {"loadState": "LoadStateLoaded", "loadProgress": 100}


def loaded(engine, name):
    if not KNOWN[name]["asked"] > 1:
        refuse(f"collection not fully loaded[collection={name}]", 103)
    return engine.get_collection(name)


def upsert(engine, name, body):
    fields = fields_of(name)
    written = {one for one in fields if one not in KNOWN[name]["outputs"]}
    for row in body["data"]:
        needed = {one for one in written if not fields[one].get("nullable")}
        if needed - row.keys():
            refuse(f"row does not has field {sorted(needed - row.keys())}")
        if row.keys() - written and not is_dynamic(name):
            refuse("has pass more field without dynamic schema, please check it")
        for one, value in row.items():
            if value is not None and one in fields:
                check_value(fields[one], value)
    ids = engine.get_collection(name).upsert([dict(row) for row in body["data"]])
    return {"upsertCount": len(ids), "upsertIds": [*ids]}


def check_value(field, value):
    kind, params = field["dataType"], field["elementTypeParams"]
    if kind in PYTHON and not isinstance(value, PYTHON[kind]):
        refuse(f"{field['fieldName']} is no {kind}")
    if kind == "VarChar" and len(value.encode()) > params["max_length"]:
        refuse(f"length of varchar field {field['fieldName']} exceeds max length")
    if kind == "FloatVector" and len(value) != params["dim"]:
        refuse(f"[]float32 size {len(value)} doesn't equal to vector dimension {params['dim']}")


def delete(engine, name, body):
    found = loaded(engine, name)
    primary = primary_of(name)
    ids = [row[primary] for row in found.query(bound(body), output_fields=[primary])]
    if ids:
        found.delete(ids)
    return {}


def primary_of(name):
    return next(one for one, field in fields_of(name).items() if field.get("isPrimary"))


def query(engine, name, body):
    if not 0 < body["limit"] <= MOST_ROWS:
        refuse(f"limit [{body['limit']}] is invalid, it should be in range [1, {MOST_ROWS}]")
    rows = loaded(engine, name).query(bound(body), output_fields=["*"], limit=body["limit"])
    return [shown(name, row, body["outputFields"]) for row in rows]


def search(engine, name, body):
    if not 0 < body["limit"] <= MOST_ROWS:
        refuse(f"topk [{body['limit']}] is invalid, it should be in range [1, {MOST_ROWS}]")
    field = fields_of(name).get(body["annsField"])
    if field is None or "Vector" not in field["dataType"]:
        refuse(f"cannot find a vector field named: {body['annsField']}", 1801)
    for one in body["data"]:
        is_text = body["annsField"] in KNOWN[name]["outputs"]
        if not isinstance(one, str if is_text else list):
            refuse("can only accept json format request, error: data", 1801)
        if not is_text and len(one) != field["elementTypeParams"]["dim"]:
            refuse(f"dimension: {field['elementTypeParams']['dim']}, but length of []float: {len(one)}", 1801)  # fmt: skip
    (hits,) = loaded(engine, name).search(
        body["data"],
        top_k=body["limit"],
        expr=bound(body) or None,
        output_fields=["*"],
        anns_field=body["annsField"],
    )
    return [
        {
            **shown(name, {**hit["entity"], primary_of(name): hit["id"]}, body["outputFields"]),
            "id": shown(name, {primary_of(name): hit["id"]}, [primary_of(name)])[primary_of(name)],
            "distance": hit["distance"],
        }
        for hit in hits
    ]


def shown(name, row, wanted):
    """Return the wanted members of a row: documents as texts, and whole numbers as such, if a request wants that."""
    fields, made = fields_of(name), {}
    for one in wanted:
        if one == "$meta" and is_dynamic(name):
            made |= {
                key: value for key, value in row.items() if key not in fields and key != "$meta"
            }
            rest = row.get("$meta")
            made |= (json.loads(rest) if isinstance(rest, str) else rest) or {}
        elif one not in fields:
            refuse(f"field {one} not exist")
        elif fields[one]["dataType"] == "JSON":
            value = row.get(one)
            made[one] = json.dumps(value) if isinstance(value, dict) else value
        elif fields[one]["dataType"] == "Int64" and not ALLOWED.get("int64"):
            made[one] = str(row.get(one))
        else:
            made[one] = row.get(one)
    return made


ALLOWED = {}
ROUTES = {
    "/collections/describe": describe,
    "/collections/get_load_state": load_state,
    "/collections/create": create,
    "/indexes/list": indexes,
    "/indexes/describe": index,
    "/entities/upsert": upsert,
    "/entities/delete": delete,
    "/entities/query": query,
    "/entities/search": search,
}


class Handler(JsonHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802 - the name that http.server calls
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        path = self.path.removeprefix("/v2/vectordb")
        if KEY and self.headers.get("Authorization") != f"Bearer {KEY}":
            self.write(401, {"code": 1800, "message": "user hasn't authenticated"})
        elif path not in ROUTES or path == self.path:
            self.write(404, "404 page not found")
        else:
            self.write(200, self.answer(path, body))

    def answer(self, path, body):
        with LOCK:
            ALLOWED["int64"] = self.headers.get("Accept-Type-Allow-Int64") == "true"
            try:
                check(body, {"dbName": str, "collectionName": str, **SHAPES[path]})
                database, name = body["dbName"], body["collectionName"]
                if database != "default":
                    refuse(f"database not found[database={database}]", 800)
                if name not in KNOWN and path != "/collections/create":
                    refuse(f"can't find collection[database=default][collection={name}]", 100)
                return {"code": 0, "data": ROUTES[path](ENGINE, name, body)}
            except RefusedError as error:
                return {"code": error.code, "message": str(error)}
            except Exception as error:
                return {"code": 1100, "message": f"{type(error).__name__}: {error}"}


with tempfile.TemporaryDirectory() as folder:
    ENGINE = MilvusLite(folder)
    serve(Handler)
# Milvus Lite keeps threads that would outlive this one.
os._exit(0)
