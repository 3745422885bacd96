"""Time zones: what one release of the IANA database has, whatever the machine has."""

import re

import pytest

from fleetform import timezones
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write

KNOWN = ("UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Calcutta", "Etc/GMT+5", "EST5EDT")  # fmt: skip
UNKNOWN = ("Europe/Berlln", "europe/berlin", "Berlin", "CEST", "Local", "Europe", "Mars/Base", "../etc/passwd", "", "UTC+2")  # fmt: skip


def test_the_list_has_its_release_and_every_area():
    version, names = timezones.release()
    assert re.fullmatch(r"20[0-9]{2}[a-z]", version)
    assert len(names) > 590
    assert {name.partition("/")[0] for name in names} >= {"Africa", "America", "Asia", "Europe", "Etc", "UTC"}  # fmt: skip


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
