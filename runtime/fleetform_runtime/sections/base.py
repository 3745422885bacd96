"""What the sections of agent.json share: strictness, references to secrets, TLS, URLs."""

from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    JsonValue,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

LARGEST_INTEGER = 2**53
"""Helm and JavaScript hold numbers as float64, which cannot represent larger integers."""


class Section(BaseModel):
    """Refuses unknown fields: a typo in agent.json must stop the start rather than be ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        allow_inf_nan=False,
        defer_build=True,
    )

    @model_validator(mode="after")
    def _refuse_nulls(self) -> Self:
        """Refuse null for absent fields: depending on its version, Helm keeps, drops or replaces a null."""
        for name, field in type(self).model_fields.items():
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{field.alias} is null; omit the field instead")
        return self


def members(union: Any) -> tuple[type[Section], ...]:
    """Return the sections that make up a union with a discriminator."""
    found: tuple[type[Section], ...] = get_args(get_args(union)[0])
    return found


def word_of(section: type[Section]) -> str:
    """Return the `type` that identifies a section in a union."""
    word: str = get_args(section.model_fields["type"].annotation)[0]
    return word


def _refuse_inner_nulls(value: JsonValue) -> JsonValue:
    if value is None:
        raise ValueError("null is not allowed here; omit it instead")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_inner_nulls(inner)
    return value


def _refuse_schema_nulls(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _refuse_inner_nulls(value)
    return value


class OneOf:
    """A string that must be one of some words, which are listed in a table elsewhere."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Build the validator, which becomes an `enum` in the schema."""
        del source, handler
        return core_schema.literal_schema(list(self.words))


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, Field(max_length=65_536)]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
# Neither white space nor user:password@; templates such as {id} only after the host.
HttpUrl = Annotated[
    str, Field(pattern=r"^https?://[^\s/@?#{}]+(/[^\s?#]*)?(\?[^\s#]*)?$", max_length=2_048)
]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\s\x00]*$", max_length=4_096)]
Seconds = Annotated[float, Field(gt=0, le=604_800)]
Count = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
NonNegative = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Usd = Annotated[float, Field(ge=0, le=1_000_000_000)]
Json = Annotated[JsonValue, AfterValidator(_refuse_inner_nulls)]
JsonSchema = Annotated[dict[str, JsonValue], AfterValidator(_refuse_schema_nulls)]


class SecretFile(Section):
    """A secret in a mounted file; read again when the file changes."""

    file: AbsolutePath = Field(
        description="Path of the file with the value, UTF-8; one trailing newline is dropped."
        " The generator mounts /var/run/secrets/fleetform/<secret>/<key>."
    )


class SecretEnvironment(Section):
    """A secret in an environment variable; read once, at the start."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)] = Field(
        description="Name of the environment variable with the value."
    )


SecretReference = SecretFile | SecretEnvironment
TextOrSecret = Annotated[str, Field(max_length=8_192)] | SecretFile | SecretEnvironment

_CREDENTIAL_HEADERS = frozenset(
    ("authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-auth-token")
)


def _refuse_plain_credentials(headers: dict[str, TextOrSecret]) -> dict[str, TextOrSecret]:
    for name, value in headers.items():
        if isinstance(value, str) and name.lower() in _CREDENTIAL_HEADERS:
            raise ValueError(f"header {name} carries a credential; refer to a secret instead")
    return headers


Headers = Annotated[dict[HeaderName, TextOrSecret], AfterValidator(_refuse_plain_credentials)]


class Tls(Section):
    """How the server's certificate is verified, and which client certificate is sent."""

    ca_file: AbsolutePath | None = Field(
        default=None, description="PEM bundle of trusted authorities; default: the system's own."
    )
    cert_file: AbsolutePath | None = Field(
        default=None, description="PEM chain of the client certificate; default: none is sent."
    )
    key_file: AbsolutePath | None = Field(
        default=None, description="PEM key of the client certificate; required with certFile."
    )
    insecure_skip_verify: bool = Field(
        default=False, description="Accept any certificate. Only this field turns verification off."
    )


class Timeouts(Section):
    """Deadlines of calls to one upstream."""

    connect_seconds: Seconds = Field(
        default=5, description="Seconds to establish a connection, including TLS; default 5."
    )
    request_seconds: Seconds = Field(
        default=60, description="Seconds for one call from start to last byte; default 60."
    )
