"""Why some leaves change no output, or none in some places: each with its reason in words.

Patterns match `Kind:leaf` as a whole.
"""

FOR_PEOPLE = "for people who read the spec, as the field's description says"
OTHER_FORM = "one of several forms: the fields of another form are asked for when only the name of the form changes"
SELECTS = "it selects: another selection than the one that matches finds nothing, which is said"
ONE_POD = "a store is one pod, which is replaced before a new one starts, whatever else it mounts"
REFUSED = "it is there to be refused, with a hint"

SILENT: dict[str, str] = {
    r"(Tool|ModelConfig|AgentTemplate|MCPServer|MemoryStore):metadata\.(labels|annotations)": (
        "for people, and for patches to select by: of a kind that renders no object, as the description says"
    ),
    r"(MCPServer|MemoryStore):spec\.description": FOR_PEOPLE,
    r"Agent:spec\.(displayName|description)": (
        "of an agent with its own image only agents that use it as a tool read it, as the description says"
    ),
    r"MemoryStore:spec\.(redis|postgres)\.(host|port)": (
        "a provisioned server's own is taken, as the description says: a patch of one environment provisions it"
    ),
    r"MemoryStore:spec\.provision\.volumes\[\]\.existingClaim\.accessMode": ONE_POD,
    r"Agent:spec\.peers": "on Compose the two share a network already, and networks know no ports",
    r"Agent:spec\.extends": "what the other base says has no effect in Compose, which is said where it stands",
    r".*volumes\[\]\.readOnly": "a ConfigMap or Secret is mounted read-only as it is: `true` has what it asks for",
    r".*network\.allowTo\[\]\.host": (
        "two hosts outside the cluster are one destination to a NetworkPolicy, which sees no names"
    ),
    r"(Agent|AgentTemplate):spec\.memory\.store": (
        "the agent says of its memory everything that the store says, and what it says wins"
    ),
    r"Agent:spec\.memory\.policy\.compression\.enabled": "the store that the agent names says it already",
    r"Agent:spec\.memory\.policy\.longTermMemory\.enabled": "the store of the agent says so already",
    r"Agent:spec\.observability\.tracing\.enabled": (
        "the network to hosts outside is open already, by a trigger or a tool of the same agent"
    ),
    r"Environment:spec\.extends": "the other base says nothing that this environment does not say itself",
    r"Environment:spec\.helm\.(charts|version)": "`fleetform releases` prints it, and no file has it",
    r"Environment:spec\.secrets\.items\..*": "no workload of the fleet needs the Secret, which is said where it stands",
    r"Environment:spec\.defaults\.ModelConfig": (
        "no agent here uses one of the ModelConfigs, which is said of each of them"
    ),
    r"Environment:spec\.cost\.\w+": "`fleetform estimate` says what it makes of it: tests/unit/test_estimate.py",
}
"""Leaves that in some places change nothing and say nothing."""

NEVER: dict[str, str] = {
    r"MemoryStore:spec\.provision\.volumes\[\]\.existingClaim\.accessMode": ONE_POD,
    r"(Agent|MCPServer):spec\.serviceAccount": "one that exists is the environment's to give: tests/unit/test_owners.py",
    r"Environment:spec\.images\.requireDigest": "it refuses images, and changes none",
    r"Environment:spec\.(priorityClasses|network\.unencrypted)": "it lets specs say something, and says nothing itself",
    r"Workflow:spec\.podTemplate\.priorityClassName": (
        "the environments of workflows grant no class here, which is said: tests/unit/test_workflows.py"
    ),
    r"Agent:spec\.weight": "what it changes is the other agent's route: tests/unit/test_canaries.py",
    r"(Agent|MCPServer):spec\.scaling\.inflightRuns": (
        "what else scales excludes it here, which is said; what it does: tests/unit/test_scaling.py"
    ),
    r".*\.policy\.longTermMemory\.vectorStore\..*": "memories are kept with the conversations, which is said",
    r"(Tool|ModelConfig|AgentTemplate)\:metadata\.(name|namespace)": SELECTS,
    r"MemoryStore:metadata\.(name|namespace)": SELECTS,
    r"(Tool|ModelConfig|AgentTemplate):metadata\.(labels|annotations)": FOR_PEOPLE,
    r"(MCPServer|MemoryStore):spec\.description": FOR_PEOPLE,
    r".*\.target\.(name|namespace|labels)": SELECTS,
    r"(Agent|AgentTemplate):spec\.tools\[\]\.(kind|namespace)": SELECTS,
    r".*scaling\.metrics\[\]\.type": OTHER_FORM,
    r".*scaling\.metrics\[\]\.\w+\.target\.(type|averageUtilization|averageValue|value)": OTHER_FORM,
    r".*scaling\.keda\.triggers\[\]\.type": OTHER_FORM,
    r".*json6902\[\]\.(op|from)": OTHER_FORM,
    r"Tool:spec\.type": OTHER_FORM,
    r".*:spec\.(serve\.|expose\.page\.)?auth\.type": OTHER_FORM,
    r"Tool:spec\.code\.allowModelCode": OTHER_FORM,
    r"(Workflow|WorkflowRun):metadata\.namespace": "the agents of its steps are those of its namespace, which is said",
    r"Workflow:spec\.input\[\]\.(in|field)": "an input is sent to no API, and searches no documents, which is said",
    r"MCPServer:spec\.observability\.(tracing|logging)\..*": (
        "a server's image sets up its traces and logs itself, which is said"
    ),
    r"MCPServer:spec\.observability\.alertThresholds\.(?!readyRatio)\w+": "its alert is about agents, which is said",
    r"MemoryStore:spec\.provision\.container\.ports\[\]\.protocol": "a store that cannot be reached by TCP is refused",
    r".*rbac\.allowDangerous": "it confirms a right, which is refused without it",
    r".*:spec\.shareWith": "it grants a reference, which is refused without it",
    r".*network\.allowFrom\[\]\.host": REFUSED,
    r"Environment:spec\.expose\.hosts\[\]\.(host|namespaces)": "it grants a host, which is refused without it",
    r"Environment:spec\.expose\.services\[\]\.(type|namespaces|annotations)": "it grants a Service, which is refused without it",
    r".*\.(sidecars|initContainers)\[\]\.ports\[\]\.(servicePort|appProtocol)": REFUSED,
    r"Environment:metadata\.name": "a run names it",
    r"Environment:spec\.images\.extras": "it says what the image has; a model that needs something else is told",
    r"Environment:spec\.cost\.\w+": "`fleetform estimate` says what it makes of it: tests/unit/test_estimate.py",
    r"Workflow:spec\.serve\.auth\.oidc\.scopes": "a workflow has no page on which one signs in, which is said",
    r"Environment:spec\.expose\.page\.auth\.(oidc\.rolesClaim|apiKey\.keys\[\]\.onBehalf)": (
        "the page shows everybody the same agents, which is said"
    ),
    r"Environment:spec\.expose\.page\.namespace": "the specs here are of one namespace; another one is refused",
    r"Environment:spec\.abstract": "an abstract environment renders nothing, which is said",
}
"""Leaves that change no output anywhere."""
