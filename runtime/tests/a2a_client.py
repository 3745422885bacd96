"""Use an agent at a URL as the official client for Python does, in one binding and version; print what it got as JSON."""

import asyncio
import json
import sys
from typing import Any

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import Client
from a2a.types import a2a_pb2 as types
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict, ParseDict

URL, BINDING, VERSION, TOKEN = sys.argv[1:]


def message(text: str, name: str, **fields: Any) -> types.SendMessageRequest:
    """Return a message to send."""
    body = {"messageId": name, "role": "ROLE_USER", "parts": [{"text": text}], **fields}
    return ParseDict({"message": body}, types.SendMessageRequest())


async def sent(client: Client, text: str, name: str, **fields: Any) -> list[dict[str, Any]]:
    """Send a message; return all that comes."""
    return [
        MessageToDict(item) async for item in client.send_message(message(text, name, **fields))
    ]


def text_of(told: list[dict[str, Any]]) -> str:
    """Return the answer that a stream has told: pieces append, or begin anew."""
    text = ""
    for item in told:
        update = item.get("artifactUpdate")
        if update:
            piece = "".join(part.get("text", "") for part in update["artifact"]["parts"])
            text = text + piece if update.get("append") else piece
    return text


async def refused(work: Any) -> str:
    """Return the kind of an error."""
    try:
        await work
    except A2AError as error:
        return type(error).__name__
    return "nothing"


async def main() -> dict[str, Any]:
    """Send, stream, get, list, cancel, subscribe, decide."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(headers=headers, timeout=120) as http:
        card = await A2ACardResolver(http, URL).get_agent_card()
        kept = [
            item
            for item in card.supported_interfaces
            if (item.protocol_binding, item.protocol_version) == (BINDING, VERSION)
        ]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        common = {"httpx_client": http, "supported_protocol_bindings": [BINDING]}
        whole = ClientFactory(ClientConfig(streaming=False, **common)).create(card)
        stream = ClientFactory(ClientConfig(streaming=True, **common)).create(card)
        found: dict[str, Any] = {"schemes": sorted(card.security_schemes)}
        (first,) = await sent(whole, "hello", "m1")
        task = first["task"]
        found["whole"] = task["artifacts"][0]["parts"][0]["text"]
        found["again"] = (await sent(whole, "hello", "m1")) == [first]
        told = await sent(stream, "say 4 words", "m2")
        found["stream"] = text_of(told)
        found["begins"] = "task" in told[0]
        found["ends"] = told[-1]["statusUpdate"]["status"]["state"]
        got = MessageToDict(await whole.get_task(types.GetTaskRequest(id=task["id"])))
        found["get"] = got == task
        if VERSION == "1.0":
            page = await whole.list_tasks(types.ListTasksRequest(page_size=1))
            rest = await whole.list_tasks(types.ListTasksRequest(page_token=page.next_page_token))
            found["list"] = [item.id for item in (*page.tasks, *rest.tasks)].count(task["id"])
        (asked,) = await sent(whole, 'call ask {"q": "Which city?"}', "m3")
        waiting = asked["task"]
        found["waits"] = waiting["status"]["state"]
        found["question"] = waiting["status"]["message"]["parts"][0]["text"]
        (done,) = await sent(whole, "Oslo", "m4", taskId=waiting["id"])
        found["answer"] = done["task"]["artifacts"][0]["parts"][0]["text"]
        found["same"] = done["task"]["id"] == waiting["id"]
        slow = stream.send_message(message("wait 3600 and go", "m5"))
        began = MessageToDict(await anext(slow))["task"]
        follow = stream.subscribe(types.SubscribeToTaskRequest(id=began["id"]))
        found["subscribed"] = MessageToDict(await anext(follow))["task"]["status"]["state"]
        cancelled = await whole.cancel_task(types.CancelTaskRequest(id=began["id"]))
        found["cancelled"] = MessageToDict(cancelled)["status"]["state"]
        last = [MessageToDict(item) async for item in follow][-1]
        found["told"] = last["statusUpdate"]["status"]["state"]
        found["unknown"] = await refused(whole.get_task(types.GetTaskRequest(id="nobody")))
        found["ended"] = await refused(sent(whole, "x", "m6", taskId=task["id"]))
        found["late"] = await refused(whole.cancel_task(types.CancelTaskRequest(id=task["id"])))
        return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
