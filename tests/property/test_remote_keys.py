"""Names of secrets in the provider's store: no two Secrets get the same one, whatever the separator."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.platforms.kubernetes.bind.namespaces import shared_remote_keys
from tests.fleet import AGENT, API, fleet, write

WORDS = st.lists(st.sampled_from(["a", "b", "eu"]), min_size=1, max_size=3)
NAMES = WORDS.map("-".join)
PAIRS = st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=6, unique=True)
RULES = st.sampled_from(["{namespace}-{name}", "{namespace}/{name}", "{environment}-{namespace}-{name}", "{name}-{namespace}", "{namespace}{name}", "x{name}.{namespace}y"])  # fmt: skip


class Secret:
    """As much of an ExternalSecret as the check reads."""

    def __init__(self, name: str, remote_key: str) -> None:
        self.name, self.remote_key = name, remote_key
        self.secrets = (self,)


@settings(max_examples=60, deadline=None)
@given(PAIRS, RULES)
def test_no_two_secrets_get_the_same_remote_one(tmp_path_factory, pairs, rule):
    environment = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  capabilities: [external-secrets]
  secrets: {{provider: aws, remoteKey: "{rule}", store: {{aws: {{region: eu-central-1}}}}}}
"""
    files = {"agents/a.yaml": AGENT, "environments/prod.yaml": environment}
    found, _ = fleet(write(tmp_path_factory.mktemp("fleet"), files))

    def remote(space: str, name: str) -> str:
        values = {"environment": "prod", "namespace": space, "name": name}
        return rule.format(**values)

    made = [(space, Secret(name, remote(space, name))) for space, name in pairs]
    problems = [*shared_remote_keys(found, made)]
    assert len(problems) == len(made) - len({item.remote_key for _, item in made})
    assert all(problem.severity == "error" for problem in problems)
