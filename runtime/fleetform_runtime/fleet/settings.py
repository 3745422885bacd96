"""The contract between generator and runtime for the page of a fleet: fleet.json."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fleetform_runtime.sections.access import Auth
from fleetform_runtime.sections.base import Name, Section
from fleetform_runtime.sections.serving import Health, Observability, Server

MOST_AGENTS = 10_000
Place = Annotated[
    str, Field(pattern=r"^(https://[a-z0-9.-]+)?(/[A-Za-z0-9._~-]+)*/$", max_length=512)
]


class PageIdentity(Section):
    """Identity of the page."""

    name: Name = Field(description="Name; the label `page` of every metric.")
    namespace: Name = Field(description="Kubernetes namespace.")
    title: str | None = Field(
        default=None, max_length=256, description="Headline; default: the page's own word."
    )


class ListedAgent(Section):
    """An agent that the page leads to."""

    name: Name = Field(description="Name.")
    namespace: Name = Field(description="Kubernetes namespace.")
    title: str = Field(max_length=256, description="Display name.")
    description: str | None = Field(
        default=None, max_length=16_384, description="What it does; default: nothing is said."
    )
    path: Place = Field(
        description="Where its page is: a path of this host with a slash at its end, or a URL of another host."
    )
    sign_in: Literal["none", "shared", "own"] = Field(
        default="own",
        description="How one signs in there: not at all, with the key or token of this page, which is sent there only then, or "
        "with another one. Default own.",
    )


class FleetSettings(Section):
    """Configuration of the page of a fleet, complete except for secrets."""

    contract: Literal[1] = Field(description="Version of this contract; a runtime refuses others.")
    page: PageIdentity = Field(description="Name and namespace of the page.")
    agents: tuple[ListedAgent, ...] = Field(
        max_length=MOST_AGENTS, description="The agents, in the order in which they are shown."
    )
    auth: Auth = Field(
        description="Who may see which agents there are. There is no default: without a decision it does not start."
    )
    server: Server = Field(default_factory=Server, description="Ports and shutdown.")
    health: Health = Field(default_factory=Health, description="Paths of the probes.")
    observability: Observability = Field(default_factory=Observability, description="Logs.")

    @model_validator(mode="after")
    def _tell_them_apart(self) -> Self:
        seen: set[str] = set()
        for agent in self.agents:
            if agent.path in seen:
                raise ValueError(f"two agents are at {agent.path}")
            seen.add(agent.path)
        return self
