"""What `fleetform run` and `fleetform chat` read from the surroundings of a laptop."""

import pytest
import typer

from fleetform.cli import conversation, laptop, trust
from fleetform.cli.conversation import Conversation


def test_variables_are_named_after_secret_and_key():
    assert laptop.variables("openai-api-key", "api-key") == (
        "OPENAI_API_KEY_API_KEY",
        "OPENAI_API_KEY",
    )
    assert laptop.variables("0x", "a.b") == ("_0X_A_B", "_0X")


def test_an_env_file_gives_what_the_environment_does_not(tmp_path, monkeypatch):
    file = tmp_path / "x.env"
    file.write_text("# note\nexport A='1 2'\nB=\"x\"\nC=3 # three\nD\nE=\n")
    monkeypatch.setenv("B", "mine")
    found = laptop.known_values(file)
    assert (found["A"], found["B"], found["C"], found["E"]) == ("1 2", "mine", "3", "")
    assert "D" not in found


def asked(monkeypatch, folder, answer, *uses):
    """Agree at a terminal; return whether it was asked."""
    questions = []
    monkeypatch.setattr(trust.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(trust.typer, "get_app_dir", lambda name: str(folder / "home"))
    monkeypatch.setattr(trust.typer, "confirm", lambda *a, **k: questions.append(a) or answer)
    trust.agree(uses, ())
    return bool(questions)


def test_it_is_asked_once_per_folder_secret_and_receiver(tmp_path, monkeypatch):
    one, other = trust.Use("KEY", "https://a.example"), trust.Use("KEY", "https://b.example")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(typer.Exit):
        asked(monkeypatch, tmp_path, False, one)
    assert asked(monkeypatch, tmp_path, True, one)
    assert not asked(monkeypatch, tmp_path, True, one)
    assert asked(monkeypatch, tmp_path, True, one, other)
    assert asked(monkeypatch, tmp_path, True, trust.Use("TOKEN", "https://a.example"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert asked(monkeypatch, tmp_path, True, one)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"/x": 1}', '{"/x": [["a"]]}'])
def test_a_broken_memory_of_it_is_asked_again(tmp_path, monkeypatch, text):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/agreed.json").write_text(text)
    assert asked(monkeypatch, tmp_path, True, trust.Use("KEY", "https://a.example"))


KEY = {"env": "KEY"}


@pytest.mark.parametrize(
    ("document", "receivers"),
    [
        ({"model": {"provider": "openai", "apiKey": KEY}}, ["openai"]),
        ({"model": {"provider": "openai", "endpoint": "https://x.example:8/v1", "apiKey": KEY}}, ["https://x.example:8"]),
        ({"models": [{"provider": "anthropic", "apiKey": KEY}]}, ["anthropic"]),
        ({"memory": {"type": "redis", "host": "r", "port": 1, "password": KEY}}, ["redis://r:1"]),
        ({"tools": [{"endpoint": "https://t.example/{id}", "headers": {"X": KEY}}]}, ["https://t.example"]),
        (
            {"mcpServers": [{"url": "https://m.example", "auth": {"tokenUrl": "https://t.example", "clientSecret": KEY}}]},
            ["https://t.example"],
        ),
        ({"observability": {"tracing": {"endpoint": "https://l.example", "secretKey": KEY}}}, ["https://l.example"]),
        ({"unknown": {"part": KEY}}, ["unknown"]),
        ({"auth": {"keys": [{"secret": KEY}]}}, []),
    ],
)  # fmt: skip
def test_every_secret_has_its_receiver(document, receivers):
    assert [*trust.uses(document)] == [trust.Use("KEY", receiver) for receiver in receivers]


def test_a_program_and_what_it_is_given_are_both_asked_for(tmp_path, monkeypatch):
    server = {"transport": "stdio", "command": ["npx", "-y", "a b"], "env": {"TOKEN": KEY}}
    program = "npx -y 'a b'"
    found = [*trust.uses({"mcpServers": [server]})]
    assert found == [trust.Use(trust.PROGRAM, program), trust.Use("KEY", program)]
    assert [str(use) for use in found] == [f"starts {program}", f"KEY to {program}"]
    monkeypatch.chdir(tmp_path)
    assert asked(monkeypatch, tmp_path, True, found[0])
    assert not asked(monkeypatch, tmp_path, True, found[0])
    assert asked(monkeypatch, tmp_path, True, trust.Use(trust.PROGRAM, "npx -y other"))


def test_credentials_of_the_machine_count_when_a_spec_gives_their_address():
    model = {"provider": "bedrock", "endpoint": "https://evil.example"}
    assert [use.receiver for use in trust.uses({"model": model})] == ["https://evil.example"]
    assert [*trust.uses({"model": {"provider": "bedrock"}})] == []


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        *[(url, True) for url in ("https://agents.example.org/a", "http://127.0.0.1:8080", "http://[::1]:1", "http://agent.ns.svc:8080", "http://agent")],
        *[(url, False) for url in ("http://agents.example.org/a", "agents.example.org", "http://10.0.0.1:8080", "http://[fd12::1]:80", "http://agent.ns.svc.example")],
    ],
)  # fmt: skip
def test_a_key_for_an_agent_goes_encrypted_or_nowhere_far(url, is_told):
    conversation.Agent(url, None)
    if is_told:
        conversation.Agent(url, "key")
    else:
        with pytest.raises(conversation.ChatError, match="without encryption"):
            conversation.Agent(url, "key")


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.8.0.1/x", "http://[::1]:80"])
def test_this_machine_is_local(url):
    assert trust.is_local(url)


@pytest.mark.parametrize("url", ["http://localhost.example", "http://127.0.0.1.nip.example", "http://10.0.0.1", "http://mcp"])  # fmt: skip
def test_other_machines_are_not(url):
    assert not trust.is_local(url)


class Stub:
    """An agent that streams given events once."""

    def __init__(self, *events):
        self.events = lambda path, body: iter([events, ()][path != "/chat"])


def test_an_agent_writes_no_control_sequences_to_a_terminal():
    """Colours, titles, clipboards and the direction of reading are the terminal's, and an approval shows all."""
    evil, long = "\x1b]0;x\x07\x1b[2K\r\u202e", "x" * 500
    calls = [
        {"id": "1", "type": "approval", "name": f"rm{evil}\nread", "args": {"a": evil + long}, "digest": "d"},
        {"id": "2", "type": "question", "name": "ask", "args": {"q": evil}},
    ]  # fmt: skip
    events = (
        ("run_start", {"session_id": "s"}),
        ("token", {"content": f"ok\n{evil}\u200d"}),
        ("tool_start", {"name": evil, "args": {"a": evil}}),
        ("tool_end", {"name": evil, "ok": True, "content": evil}),
        ("approval_required", {"run_id": "r", "calls": calls}),
    )
    shown = []
    conversation = Conversation(Stub(*events), shown.append, lambda text: shown.append(text) or "n")
    assert conversation.say("x")
    text = "".join(shown)
    assert not set("\x1b\x07\r\u202e") & set(text)
    assert "ok\n\\x1b]0;x\\x07" in text
    assert "\u200d" in text  # joins letters and emoji, and moves nothing
    assert long in text
    assert "rm\\x1b]0;x\\x07\\x1b[2K\\r\\u202e\\nread" in text
    error = ("error", {"message": evil, "code": evil})
    assert not Conversation(Stub(error), shown.append, shown.append).say("x")
    assert not set("\x1b\x07\r\u202e") & set("".join(shown))


def test_a_form_of_a_server_is_filled_in_member_by_member():
    schema = {
        "type": "object",
        "properties": {
            "seat": {"type": "integer"},
            "window": {"type": "boolean"},
            "note": {"type": "string"},
            "price": {"type": "number"},
        },
    }
    asks = {"message": "Which \x1b[2J seat?", "schema": schema}
    call = {"id": "1", "type": "question", "name": "book", "args": {}, "asks": asks}
    events = [
        ("run_start", {"session_id": "s"}),
        ("approval_required", {"run_id": "r", "calls": [call]}),
    ]
    sent = []

    class Asking:
        def events(self, path, body):
            sent.append((path, body))
            return iter(events if len(sent) == 1 else ())

    shown = []
    answers = iter(["4", "y", "", "many"])
    assert Conversation(Asking(), shown.append, lambda text: next(answers)).say("x")
    assert sent[1][1]["decisions"] == [
        {"id": "1", "answer": {"seat": 4, "window": True, "price": "many"}}
    ]
    assert "\x1b" not in "".join(shown)


@pytest.mark.parametrize("keep", [False, True])
def test_without_callers_there_are_no_approvers(keep):
    approvals, auth = {"approvers": {"keys": ["ann"]}}, {"type": "apiKey", "keys": []}
    told = {**approvals, "webhook": {"url": "https://hooks.example"}}
    document = {"agent": {"name": "a"}, "auth": auth, "approvals": told}
    local = laptop.Local(document=document, prompts={})
    laptop._simplify(local, None, None, keep_auth=keep, keep_tracing=False)
    assert local.document.get("approvals") == (approvals if keep else None)
    assert ("approvals: by whoever asks (--keep-auth)" in local.notes) is not keep


@pytest.mark.parametrize(
    ("auth", "model", "endpoint", "left"),
    [
        ("apiKey", None, "https://far.example", {"user": "me", "embedding": True}),
        ("apiKey", "scripted", "https://far.example", {"user": "me", "embedding": False}),
        ("apiKey", "scripted", None, {"user": "me", "embedding": False}),
        ("none", "scripted", "http://127.0.0.1:9/v1", {"user": "ann", "embedding": True}),
    ],
)
def test_an_agent_that_remembers_its_users_has_one_on_a_laptop(auth, model, endpoint, left):
    section = {"embedding": {"provider": "openai"} | ({"endpoint": endpoint} if endpoint else {})}
    section |= {"user": "ann"} if auth == "none" else {}
    document = {"agent": {"name": "a"}, "auth": {"type": auth}, "longTermMemory": section}
    laptop._simplify(laptop.Local(document, {}), model, None, keep_auth=False, keep_tracing=False)
    found = document["longTermMemory"]
    assert found.get("user") == left["user"]
    assert ("embedding" in found) == left["embedding"]
    kept = {"agent": {"name": "a"}, "auth": {"type": "apiKey"}, "longTermMemory": {}}
    laptop._simplify(laptop.Local(kept, {}), None, None, keep_auth=True, keep_tracing=False)
    assert kept["longTermMemory"] == {}


def test_no_webhook_is_told_from_a_laptop():
    approvals = {"webhook": {"url": "https://hooks.example"}}
    document = {"agent": {"name": "a"}, "auth": {"type": "none"}, "approvals": approvals}
    local = laptop.Local(document=document, prompts={})
    laptop._simplify(local, "scripted", None, keep_auth=True, keep_tracing=True)
    assert "approvals" not in local.document
    assert "approvals: the webhook is not told" in local.notes
