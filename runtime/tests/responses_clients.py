"""Use an agent at a URL as two frameworks do, by the Responses API; print what they got as JSON."""

import asyncio
import json
import sys
from typing import Any

from agents.models.openai_responses import OpenAIResponsesModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI

from agents import Agent, Runner, function_tool, set_tracing_disabled

URL = sys.argv[1] + "/v1"
KEY = "unused"


@function_tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


async def agents() -> dict[str, Any]:
    """Run an agent of the Agents SDK with a function, whole and streamed."""
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=URL, api_key=KEY) as client:
        model = OpenAIResponsesModel("greeter", client)
        agent = Agent(name="a", instructions="Be brief.", tools=[get_weather], model=model)
        whole = await Runner.run(agent, 'call get_weather {"city": "Paris"}')
        stream = Runner.run_streamed(agent, 'call get_weather {"city": "Rome"}')
        kinds = [event.type async for event in stream.stream_events()]
    return {
        "whole": whole.final_output,
        "stream": stream.final_output,
        "events": len(kinds) > 0,
        "tokens": whole.context_wrapper.usage.total_tokens > 0,
    }


@tool
def get_city(city: str) -> str:
    """Return a city."""
    return city


def langchain() -> dict[str, Any]:
    """Ask by LangChain, with a tool and without, whole and streamed."""
    model = ChatOpenAI(model="greeter", base_url=URL, api_key=KEY, use_responses_api=True)
    bound = model.bind_tools([get_city])
    question = HumanMessage('call get_city {"city": "Oslo"}')
    asked = bound.invoke([question])
    (call,) = asked.tool_calls
    result = ToolMessage("cold", tool_call_id=call["id"])
    return {
        "whole": model.invoke("hi").text,
        "stream": "".join(piece.text for piece in model.stream("say 4 words")),
        "call": [call["name"], call["args"]],
        "answer": bound.invoke([question, asked, result]).text,
    }


if __name__ == "__main__":
    print(json.dumps({"agents": asyncio.run(agents()), "langchain": langchain()}))
