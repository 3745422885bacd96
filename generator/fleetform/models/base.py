"""What every spec model shares: frozen, no extra fields, camelCase in YAML, built on first use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import WithJsonSchema
from pydantic_core import core_schema

from fleetform.patterns import (
    ABSOLUTE_PATH,
    DATA_KEY,
    DURATION,
    HOST,
    LABEL_KEY,
    LABEL_NAME,
    LABEL_VALUE,
    OBJECT_NAME,
    PORT_NAME,
    QUALIFIED_NAME,
    QUANTITY,
    REFERENCE_NAME,
    URL,
    URL_PATH,
)
from fleetform.quantity import text


class Spec(BaseModel):
    """A frozen part of a spec, without extra fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
        protected_namespaces=(),
    )


def optional(description: str, **rules: Any) -> Any:
    """Declare an optional field; its description says what happens without it."""
    return Field(default=None, description=description, **rules)


class OneOf:
    """A string that must be one of some words, which are listed in a table elsewhere."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return the validator, which becomes an `enum` in the schema."""
        del source, handler
        return core_schema.literal_schema(list(self.words))


def _text(value: object) -> object:
    return value if isinstance(value, bool) or not isinstance(value, int | float) else text(value)


def _quantity(form: str, least: int = 0) -> WithJsonSchema:
    """Return the schema of a quantity of one of the formats in `quantity.FORMATS`, which are for texts alone."""
    whole = {} if form == "quantity" else {"multipleOf": 1}
    return WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": QUANTITY,
            "format": form,
            "minimum": least,
            "maximum": 9e18,
            **whole,
        }
    )


_QUANTITY = (BeforeValidator(_text), StringConstraints(pattern=QUANTITY))
Quantity = Annotated[str, *_QUANTITY, _quantity("quantity")]
Bytes = Annotated[str, *_QUANTITY, _quantity("bytes")]
Size = Annotated[str, *_QUANTITY, _quantity("size", least=1)]
"""A number of bytes that something needs at least one of."""
COUNT: dict[str, Any] = _quantity("count").json_schema or {}
Count = Annotated[str, *_QUANTITY, WithJsonSchema(COUNT)]
"""A whole number of anything."""
Duration = Annotated[str, StringConstraints(pattern=DURATION)]
Name = Annotated[str, StringConstraints(pattern=LABEL_NAME, max_length=63)]
ReferenceName = Annotated[str, StringConstraints(pattern=REFERENCE_NAME, max_length=253)]
QualifiedName = Annotated[str, StringConstraints(pattern=QUALIFIED_NAME, max_length=253)]
ObjectName = Annotated[str, StringConstraints(pattern=OBJECT_NAME, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]
PortName = Annotated[str, StringConstraints(pattern=PORT_NAME, max_length=15)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Host = Annotated[str, StringConstraints(pattern=HOST, max_length=253)]
Url = Annotated[str, StringConstraints(pattern=URL, max_length=2048)]
UrlPath = Annotated[str, StringConstraints(pattern=URL_PATH, max_length=256)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=LABEL_KEY,
        # One of 317 would be legal behind a domain of 253; then its length would be two rules.
        max_length=253,
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE, max_length=63)]
AbsolutePath = Annotated[str, StringConstraints(pattern=ABSOLUTE_PATH, max_length=1024)]
INT32 = (1 << 31) - 1
"""The largest number of most integers in Kubernetes' objects."""
Json = Any
"""A value of any JSON type: defined by another system and passed on."""


class SecretKey(Spec):
    """A key of a Secret in the workload's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: str = Field(
        description="Key in the Secret.", pattern=DATA_KEY, min_length=1, max_length=253
    )


class ConfigMapKey(Spec):
    """A key of a ConfigMap in the workload's namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: str = Field(
        description="Key in the ConfigMap.", pattern=DATA_KEY, min_length=1, max_length=253
    )


class Shared(Spec):
    """A document that agents of other namespaces may refer to, if it says so."""

    share_with: list[Name] = Field(
        default_factory=list,
        description="Other namespaces, as in the specs, whose agents may refer to it; its Secrets must exist there as well. Default: none; a document without a namespace is for all.",
    )


class ObjectTarget(Spec):
    """Which built objects a patch changes; all fields that are set must match."""

    kind: str = Field(
        description="Kind of the object, such as `Deployment`.", min_length=1, max_length=63
    )
    name: ReferenceName | None = optional("Name of the object. Default: any.")
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels that the target must have. Default: any."
    )


class JsonOperation(Spec):
    """One operation of a JSON patch, as RFC 6902 defines it."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"] = Field(
        description="What to do."
    )
    path: str = Field(
        description="JSON pointer into the object, such as `/spec/replicas`.", pattern=r"^(/.*)?$"
    )
    from_: str | None = optional(
        "Source pointer of `move` and `copy`.", alias="from", pattern=r"^(/.*)?$"
    )
    value: Json | None = optional("Value for `add`, `replace` and `test`.")


class ObjectPatch(Spec):
    """A change of built objects, applied last; either `merge` or `json6902`."""

    target: ObjectTarget = Field(
        description="Which objects; a patch that matches none is a Problem."
    )
    merge: dict[str, object] | None = optional(
        "What to merge into the object, as in RFC 7386: lists are replaced, null deletes.",
        min_length=1,
    )
    json6902: list[JsonOperation] | None = optional(
        "Operations in order, as in RFC 6902.", alias="json6902", min_length=1, max_length=256
    )


class Metadata(Spec):
    """Name, namespace and labels of a spec."""

    name: Name = Field(description="Name, an RFC 1123 label: it becomes part of object names.")
    namespace: Name | None = optional(
        "Namespace before the environment maps it. Default: `default` for workloads; "
        "documents that are only referred to (Tool, ModelConfig, AgentTemplate) are fleet-wide."
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels added to every object and pod of this spec. If the kind renders no objects, they are documentation, and patches can select by them. Default: none.",
    )
    annotations: dict[LabelKey, str] = Field(
        default_factory=dict,
        description="Annotations added to the workload object. If the kind renders no objects, they are documentation. Default: none.",
    )
