"""Time zones: what one release of the IANA database has, whatever the machine has."""

import json
import re

import pytest

from fleetform import timezones
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write
from tests.tools import module

tool = module("tools/timezones.py")

KNOWN = ("UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Calcutta", "Etc/GMT+5", "EST5EDT")  # fmt: skip
UNKNOWN = ("Europe/Berlln", "europe/berlin", "Berlin", "CEST", "Local", "Europe", "Mars/Base", "../etc/passwd", "", "UTC+2")  # fmt: skip


def test_the_list_has_its_release_and_every_area():
    version, names = timezones.release()
    assert re.fullmatch(r"20[0-9]{2}[a-z]", version)
    assert len(names) > 590
    assert {name.partition("/")[0] for name in names} >= {"Africa", "America", "Asia", "Europe", "Etc", "UTC"}  # fmt: skip


RELEASE = """# version 2031a
# This zic input file is in the public domain.
R d 1916 o - Jun 14 23s 1 S
Z Europe/Paris 0:9:21 - LMT 1891 Mar 16
0 d WE%sT 1940 Jun 14 23
Z Etc/UTC 0 - UTC
Z Factory 0 - -00
L Etc/UTC UTC
L Europe/Paris Europe/Monaco
"""


def test_the_list_is_what_its_script_writes():
    text = tool.KNOWN.read_text("utf-8")
    assert tool.written(json.loads(text)) == text


def test_a_newer_release_replaces_the_list_and_an_older_one_is_refused(
    tmp_path, monkeypatch, capsys
):
    known, given = tmp_path / "timezones.json", tmp_path / "tzdata.zi"
    known.write_text(tool.KNOWN.read_text("utf-8"), "utf-8")
    given.write_text(RELEASE, "utf-8")
    monkeypatch.setattr(tool, "KNOWN", known)
    monkeypatch.setattr("sys.argv", ["timezones.py", str(given)])
    tool.main()
    areas = {"": "UTC", "Etc": "UTC", "Europe": "Monaco Paris"}
    assert json.loads(known.read_text("utf-8")) == {"version": "2031a", "areas": areas}
    assert "-> 2031a" in capsys.readouterr().out
    for text, said in (("# version 2025b\n", "is older than 2031a"), ("", "is no tzdata.zi")):
        given.write_text(text, "utf-8")
        with pytest.raises(SystemExit, match=said):
            tool.main()


@pytest.mark.parametrize("name", KNOWN)
def test_a_zone_is_known(name):
    assert timezones.is_known(name)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_no_zone_is_not(name):
    assert not timezones.is_known(name)
    assert timezones.hint(name)


CRON = """  memory: {type: none}
  scaling:
    maxReplicas: 3
    keda:
      triggers: [{type: cron, metadata: {timezone: "ZONE", start: 0 8 * * *, end: 0 9 * * *, desiredReplicas: "2"}}]
"""


def said(folder, spec: str, environment: str = "") -> str:
    files = {"agents/a.yaml": AGENT + spec}
    text = f"{ENVIRONMENT}  capabilities: [keda]\n{environment}"
    write(folder, {**files, "environments/prod.yaml": text})
    return fleetform("validate", "--env", "prod", cwd=folder).err


@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN])
def test_a_trigger_is_held_to_the_list_and_so_is_a_patch_of_it(name, tmp_path):
    refused = "is not the name of a time zone"
    assert (refused in said(tmp_path, CRON.replace("ZONE", name))) is (name in UNKNOWN)
    operation = f'{{op: replace, path: /spec/triggers/0/metadata/timezone, value: "{name}"}}'
    patch = f"  objectPatches: [{{target: {{kind: ScaledObject}}, json6902: [{operation}]}}]\n"
    done = said(tmp_path, CRON.replace("ZONE", "Asia/Tokyo"), patch)
    assert (refused in done) is (name in UNKNOWN), done


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        *[(name, False) for name in KNOWN],
        *[(value, False) for value in (":Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "UTC0", "/etc/localtime")],
        *[(value, True) for value in ("Europe/Berlln", "europe/berlin", "Berlin", "CEST", ":Mars/Base")],
    ],
)  # fmt: skip
def test_a_variable_that_programs_take_for_utc_is_told_of(value, lost, tmp_path):
    done = said(tmp_path, f'  env: [{{name: TZ, value: "{value}"}}]\n')
    assert ("programs take it for UTC" in done) is lost
