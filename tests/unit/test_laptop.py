"""What `fleetform run` and `fleetform chat` read from the surroundings of a laptop."""

from fleetform.cli import laptop


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
