"""Rights in the cloud that an environment needs, from what is rendered: of stores of secrets, of agents' models, and of backups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.lazy import regex
from fleetform.resolve import backups
from fleetform.resolve.references import uses
from fleetform.resolve.searches import by_meaning

if TYPE_CHECKING:
    from fleetform.platforms.kubernetes.model import FleetPlan, NamespacePlan
    from fleetform.resolve import Fleet

Json = dict[str, Any]
READ = ("GetResourcePolicy", "GetSecretValue", "DescribeSecret", "ListSecretVersionIds")
"""What External Secrets does to read a secret of AWS Secrets Manager, by its documentation."""
LIST, KEEP = ("ListBucket",), ("GetObject", "PutObject", "DeleteObject")
"""What restic does to a bucket, and to objects in it."""
ASK = ("InvokeModel", "InvokeModelWithResponseStream")
_ROLE = regex(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>[0-9]{12}):role/.+")
_PROFILE = regex(r"(?P<area>[a-z-]{2,8})\.(?P<model>[a-z0-9-]+\..+)")
_AREAS = {
    "eu": "eu-*",
    "us": "us-*",
    "apac": "ap-*",
    "us-gov": "us-gov-*",
    "jp": "ap-*",
    "au": "ap-*",
}
"""Regions that an inference profile of Bedrock may ask in, by how its name begins; of others, all."""
NUMBER = "PROJECT_NUMBER"
"""What nobody but the project knows: people put it in."""


def aws(fleet: Fleet, plan: FleetPlan) -> dict[str, Json]:
    """Return the policy of each role, by its ARN: exactly the secrets and models that its users are given."""
    found: dict[str, list[Json]] = {}
    for space in plan.namespaces:
        role, region = _reader(space)
        match = _ROLE.fullmatch(role)
        if match and space.secrets:
            prefix = f"arn:{match['partition']}:secretsmanager:{region}:{match['account']}:secret:"
            # Secrets Manager adds a hyphen and six characters to each name.
            names = sorted({*_remote(space)})
            resources = [f"{prefix}{name}-??????" for name in names]
            found.setdefault(role, []).append(_allow("secretsmanager", READ, resources))
    for role, models in sorted(_asked(fleet).items()):
        match = _ROLE.fullmatch(role)
        if match:
            resources = sorted(
                {item for name, region in models for item in _model(match, name, region)}
            )
            found.setdefault(role, []).append(_allow("bedrock", ASK, resources))
    for role, bucket, place in _backed_up(fleet):
        match = _ROLE.fullmatch(role)
        if match:
            arn = f"arn:{match['partition']}:s3:::{bucket}"
            found.setdefault(role, []).append(_allow("s3", LIST, [arn]))
            found[role].append(_allow("s3", KEEP, [f"{arn}/{place}/*"]))
    return {
        role: {"Version": "2012-10-17", "Statement": statements}
        for role, statements in sorted(found.items())
    }


def gcp(fleet: Fleet, plan: FleetPlan) -> list[Json]:
    """Return the bindings that are needed: of each secret, and of the projects whose models are asked."""
    found: list[Json] = []
    for space in plan.namespaces:
        store = space.store.provider.get("gcpsm") if space.store else None
        if store is not None and space.store is not None:
            project = store["projectID"]
            member = _member(project, space)
            found += [
                {
                    "resource": f"projects/{project}/secrets/{name}",
                    "role": "roles/secretmanager.secretAccessor",
                    "member": member,
                }
                for name in sorted({*_remote(space)})
            ]
    for agent in fleet.of(kinds.AGENT):
        account = agent.spec.identity.gcp_service_account if agent.spec.identity else None
        asked = uses(fleet, agent).every_model if account else []
        found += [
            {
                "resource": f"projects/{project}",
                "role": "roles/aiplatform.user",
                "member": f"serviceAccount:{account}",
            }
            for project in sorted({model.project for model in asked if model.project})
        ]
    for store in _with_backups(fleet):
        backup = store.spec.backup
        google = backup.identity.gcp_service_account if backup.identity else None
        if google and backup.to.gcs is not None:
            found.append(
                {
                    "resource": f"projects/_/buckets/{backup.to.gcs.bucket}",
                    "role": "roles/storage.objectUser",
                    "member": f"serviceAccount:{google}",
                }
            )
    return [dict(row) for row in dict.fromkeys(tuple(item.items()) for item in found)]


def _with_backups(fleet: Fleet) -> Iterator[Any]:
    return (store for store in fleet.of(kinds.MEMORY_STORE) if backups.is_planned(fleet, store))


def _backed_up(fleet: Fleet) -> Iterator[tuple[str, str, str]]:
    """Yield the role of each backup in AWS, its bucket, and its folder there."""
    for store in _with_backups(fleet):
        backup, s3 = store.spec.backup, store.spec.backup.to.s3
        role = backup.identity.aws_role_arn if backup.identity else None
        if role and s3 is not None and s3.endpoint is None:
            yield role, s3.bucket, backups.folder(fleet, store, s3.prefix)


def _reader(space: NamespacePlan) -> tuple[str, str]:
    """Return the role that reads the secrets of a namespace in AWS, and the region; empty if there is none."""
    store = space.store
    if store is None or "aws" not in store.provider:
        return "", ""
    given = store.provider["aws"]
    own = store.account.annotations.get("eks.amazonaws.com/role-arn", "") if store.account else ""
    return given.get("role") or own, given["region"]


def _remote(space: NamespacePlan) -> Iterator[str]:
    yield from (entry.remote_key for secret in space.secrets for entry in secret.entries)


def _asked(fleet: Fleet) -> dict[str, list[tuple[str, str]]]:
    """Return what is asked of Bedrock with each role: names of models, and regions."""
    found: dict[str, list[tuple[str, str]]] = {}
    for agent in fleet.of(kinds.AGENT):
        role = agent.spec.identity.aws_role_arn if agent.spec.identity else None
        if role and agent.spec.container is None:
            known = uses(fleet, agent)
            asked = [(m.name, m.region) for m in known.every_model if m.provider == "bedrock"]
            asked += [
                (item.embedding.model, item.embedding.region)
                for _, item in by_meaning(known)
                if item.embedding and item.embedding.provider == "bedrock"
            ]
            if asked:
                found.setdefault(role, []).extend(
                    (name or "", region or "*") for name, region in asked
                )
    return found


def _model(role: re.Match[str], name: str, region: str) -> Iterator[str]:
    """Yield what a model needs: itself, and as an inference profile also the models behind it, in all its regions."""
    if name.startswith("arn:"):
        yield name
        return
    profile = _PROFILE.fullmatch(name)
    if profile is None:
        yield f"arn:{role['partition']}:bedrock:{region}::foundation-model/{name}"
        return
    own = f"arn:{role['partition']}:bedrock:{region}:{role['account']}"
    yield f"{own}:inference-profile/{name}"
    area = _AREAS.get(profile["area"], "*")
    yield f"arn:{role['partition']}:bedrock:{area}::foundation-model/{profile['model']}"


def _member(project: str, space: NamespacePlan) -> str:
    """Return who reads the secrets of a namespace: a service account of Google, or the pod's own identity."""
    account = space.store.account if space.store else None
    google = account.annotations.get("iam.gke.io/gcp-service-account") if account else None
    if google:
        return f"serviceAccount:{google}"
    if account is None:
        return "serviceAccount:EXTERNAL_SECRETS"
    pool = f"projects/{NUMBER}/locations/global/workloadIdentityPools/{project}.svc.id.goog"
    return f"principal://iam.googleapis.com/{pool}/subject/ns/{space.name}/sa/{account.name}"


def _allow(service: str, actions: tuple[str, ...], resources: list[str]) -> Json:
    return {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": resources,
    }
