"""Models with other protocols (Anthropic, Bedrock, Google), through pydantic-ai.

The image needs that library only with one of these extras.
"""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from pydantic_ai import exceptions, messages
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.models import Model as LibraryModel
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from fleetform_runtime import jsons
from fleetform_runtime.messages import (
    Assistant,
    File,
    Image,
    Message,
    Part,
    State,
    ToolCall,
    ToolResults,
    Usage,
    User,
)
from fleetform_runtime.models import (
    ChatRequest,
    Listener,
    ModelError,
    failures,
    history,
    libraries,
    wire,
)
from fleetform_runtime.models.libraries import Close, ForKey
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.model import Model

_SETTINGS = ("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty")
_OVERRIDES = {name: name for name in (*_SETTINGS, "seed", "parallel_tool_calls", "tool_choice")} | {
    "stop": "stop_sequences",
    "reasoning_effort": "thinking",
}
_CACHED = {
    "anthropic": ("anthropic_cache_instructions", "anthropic_cache_messages"),
    "bedrock": ("bedrock_cache_instructions", "bedrock_cache_messages"),
}
"""Settings that ask for caching, where a provider wants to be asked."""


Make = Callable[[Model, str | None], tuple[LibraryModel, Close]]


class ForeignModel:
    """Answers through a model of the library, which is rebuilt when its key has changed."""

    def __init__(
        self,
        model: Model,
        secrets: Secrets,
        make: "Make | None" = None,
    ) -> None:
        self.key = model.key
        self._model = model
        made = make or library_model
        self._library = ForKey(model.api_key, secrets, lambda key: made(model, key))

    async def respond(self, request: ChatRequest, listener: Listener | None) -> Assistant:
        """Answer within the configured deadlines."""
        if unknown := sorted(request.overrides.keys() - _OVERRIDES):
            what = f"{unknown[0]} is nothing that models of {self._model.provider} take"
            raise ModelError("unsupported", what)
        told = False

        def hear(kind: Any, text: str) -> None:
            nonlocal told
            if listener is not None and text:
                told = True
                listener((kind, text))

        seconds = self._model.timeouts.request_seconds
        try:
            async with asyncio.timeout(seconds):
                if listener is None:
                    found = await model_request(
                        await self._library.current(),
                        _history(request, self._model.source),
                        **self._options(request),
                    )
                else:
                    found = await self._streamed(request, hear)
        except TimeoutError:
            raise ModelError("timeout", f"no answer within {seconds:g} s", started=told) from None
        except SecretMissingError as error:
            raise ModelError("authentication", str(error)) from None
        except exceptions.ModelAPIError as error:
            raise failures.of_setting(libraries.failure(error, told=told), request) from None
        except Exception as error:
            # The underlying libraries may raise anything: botocore has its own exception hierarchy.
            raise ModelError("invalid", f"{type(error).__name__}: {error}", started=told) from None
        return _answer(found, self._model)

    async def close(self) -> None:
        """Close the library's connections."""
        await self._library.close()

    async def _streamed(
        self, request: ChatRequest, hear: Callable[[Any, str], None]
    ) -> messages.ModelResponse:
        first = self._model.timeouts.first_token_seconds
        async with asyncio.timeout(first) as until_first:
            async with model_request_stream(
                await self._library.current(),
                _history(request, self._model.source),
                **self._options(request),
            ) as stream:
                async for event in stream:
                    until_first.reschedule(None)
                    if isinstance(event, messages.PartStartEvent):
                        part: Any = event.part
                        if isinstance(part, messages.TextPart | messages.ThinkingPart):
                            hear(_kind(part), part.content)
                    elif isinstance(event, messages.PartDeltaEvent):
                        delta: Any = event.delta
                        if isinstance(delta, messages.TextPartDelta | messages.ThinkingPartDelta):
                            hear(_kind(delta), delta.content_delta or "")
                return stream.get()

    def _options(self, request: ChatRequest) -> dict[str, Any]:
        model = self._model
        chosen: dict[str, Any] = {name: getattr(model, name) for name in _SETTINGS}
        chosen["thinking"] = model.reasoning_effort
        chosen["parallel_tool_calls"] = model.parallel_tool_calls
        chosen["extra_body"] = model.extra_body or None
        if model.prompt_caching:
            chosen |= dict.fromkeys(_CACHED.get(model.provider, ()), True)
        for name, value in request.overrides.items():
            if name in _OVERRIDES:
                stop = [value] if name == "stop" and isinstance(value, str) else value
                chosen[_OVERRIDES[name]] = stop
        settings = ModelSettings(
            **{name: value for name, value in chosen.items() if value is not None},  # type: ignore[typeddict-item]
        )
        if model.provider != "bedrock":
            settings["max_retries"] = 0
        parameters = ModelRequestParameters(
            function_tools=[
                ToolDefinition(
                    name=tool.name,
                    description=tool.description,
                    parameters_json_schema=tool.schema,
                    strict=(tool.strict if tool.strict is not None else model.strict_tools) or None,
                )
                for tool in request.tools
            ]
        )
        return {"model_settings": settings, "model_request_parameters": parameters}


def library_model(model: Model, key: str | None) -> tuple[LibraryModel, Close]:
    """Create the library's model of a provider, and the function that closes it."""
    provider, close = libraries.provider(model, key)
    return MAKERS[model.provider](model.name, provider), close


def _anthropic(name: str, provider: Any) -> LibraryModel:
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415

    return AnthropicModel(name, provider=provider)


def _google(name: str, provider: Any) -> LibraryModel:
    from pydantic_ai.models.google import GoogleModel  # noqa: PLC0415

    return GoogleModel(name, provider=provider)


def _bedrock(name: str, provider: Any) -> LibraryModel:
    from pydantic_ai.models.bedrock import BedrockConverseModel  # noqa: PLC0415

    return BedrockConverseModel(name, provider=provider)


MAKERS = {"anthropic": _anthropic, "google": _google, "bedrock": _bedrock}


def _history(request: ChatRequest, source: str) -> list[messages.ModelMessage]:
    known = history.valid(request.messages, source, tools=bool(request.tools))
    found: list[messages.ModelMessage] = [_message(item) for item in known]
    for item in found:
        if isinstance(item, messages.ModelRequest):
            item.instructions = request.system or None
    return found


def _message(item: Message) -> messages.ModelMessage:
    if isinstance(item, User):
        return messages.ModelRequest(
            parts=[messages.UserPromptPart(content=_content(item.content))]
        )
    if isinstance(item, ToolResults):
        return messages.ModelRequest(
            parts=[
                messages.ToolReturnPart(
                    tool_name=result.name,
                    content=[result.content, *map(_seen, result.images)]
                    if result.images
                    else result.content,
                    tool_call_id=result.id,
                )
                for result in item.results
            ]
        )
    parts: list[Any] = _thoughts(item.state) if item.calls else []
    if item.text:
        parts.append(messages.TextPart(content=item.text))
    parts += [
        messages.ToolCallPart(
            tool_name=call.name,
            args=call.arguments,
            tool_call_id=call.id,
            **{name: value for name, value in (call.state or {}).items() if name in _OF_A_CALL},
        )
        for call in item.calls
    ]
    return messages.ModelResponse(parts=parts)


_OF_A_CALL = ("id", "provider_name", "provider_details")
"""What a library keeps with a call besides what every call has."""


def _thoughts(state: State | None) -> list[Any]:
    """Return the reasoning that a provider wants back, as it came."""
    if not state:
        return []
    try:
        return [messages.ThinkingPart(**part) for part in state["thoughts"]]
    except (KeyError, TypeError):
        return []


def _content(parts: str | list[Part]) -> Any:
    if isinstance(parts, str):
        return parts
    return [part if isinstance(part, str) else _seen(part) for part in parts]


def _seen(part: Image | File) -> Any:
    if not part.url.startswith("data:"):
        return messages.ImageUrl(url=part.url)
    head, _, data = part.url.partition(",")
    kind = head.removeprefix("data:").partition(";")[0] or "image/png"
    return messages.BinaryContent(data=base64.b64decode(data), media_type=kind)


def _answer(found: messages.ModelResponse, model: Model) -> Assistant:
    answer = Assistant(model=model.key, source=model.source, name=found.model_name or "")
    thoughts = []
    for part in found.parts:
        if isinstance(part, messages.TextPart):
            answer.text += part.content
        elif isinstance(part, messages.ThinkingPart):
            answer.thinking += part.content
            thoughts.append(_plain(part, ("content", "signature", *_OF_A_CALL)))
        elif isinstance(part, messages.ToolCallPart):
            arguments = part.args if isinstance(part.args, str) else None
            text = arguments if arguments is not None else jsons.write(part.args or {}).decode()
            state = _plain(part, _OF_A_CALL) or None
            answer.calls.append(ToolCall(part.tool_call_id, part.tool_name, text or "{}", state))
    if any(set(thought) - {"content"} for thought in thoughts):
        answer.state = {"thoughts": thoughts}
    usage = found.usage
    answer.usage = Usage(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        cached_tokens=usage.cache_read_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
        reasoning_tokens=(usage.details or {}).get("reasoning_tokens", 0),
    )
    finish = {"length": "length", "content_filter": "content_filter"}.get(
        str(found.finish_reason), "stop"
    )
    answer.finish = "tool_calls" if answer.calls else finish
    return wire.whole(answer, None)


def _plain(part: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return those members of a part that say something and that JSON can hold."""
    found = {name: value for name in names if (value := getattr(part, name, None))}
    try:
        jsons.write(found)
    except (TypeError, ValueError):
        return {}
    return found


def _kind(part: Any) -> str:
    return "text" if isinstance(part, messages.TextPart | messages.TextPartDelta) else "thinking"
