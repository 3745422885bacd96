"""Use an agent at a URL as a sub-agent of Google's Agent Development Kit; print what it got as JSON."""

import asyncio
import json
import sys
import warnings

warnings.filterwarnings("ignore")

import httpx  # noqa: E402
from google.adk.agents.remote_a2a_agent import RemoteA2aAgent  # noqa: E402
from google.adk.runners import InMemoryRunner  # noqa: E402
from google.genai import types  # noqa: E402

URL, TOKEN = sys.argv[1:]


async def main() -> dict[str, str]:
    """Ask twice in one session."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(headers=headers, timeout=120) as http:
        card = f"{URL}/.well-known/agent-card.json"
        agent = RemoteA2aAgent(name="greeter", agent_card=card, httpx_client=http)
        runner = InMemoryRunner(agent=agent, app_name="app")
        session = await runner.session_service.create_session(app_name="app", user_id="ann")
        found = {}
        for name, text in (("first", "hello"), ("second", "say 4 words")):
            said = types.Content(role="user", parts=[types.Part(text=text)])
            told = ""
            async for event in runner.run_async(
                user_id="ann", session_id=session.id, new_message=said
            ):
                if event.content and event.content.parts and not event.partial:
                    told = "".join(part.text or "" for part in event.content.parts) or told
                if event.error_message:
                    told = event.error_message
            found[name] = told
        return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
