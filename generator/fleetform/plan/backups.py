"""Backups of memory stores: jobs that dump, check and keep what a store holds, and that try to restore it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.plan import containers, settings, traffic
from fleetform.plan.draft import Draft
from fleetform.plan.dumps import CERTIFICATES, DUMPS, FETCHED, FOLDER, KEPT, Dump, kept
from fleetform.plan.knowledge import kept_at
from fleetform.plan.model import (
    Claim,
    ExistingClaim,
    Extra,
    Mount,
    Scratch,
    SecretFolder,
    SecretRef,
    Shape,
    Variable,
    Volume,
)
from fleetform.records import NamedTuple
from fleetform.resolve import hosts
from fleetform.resolve.backups import (
    CLAIM,
    DUMP,
    FILES,
    GCS_KEY,
    SCRATCH,
    STORE_FILES,
    STORE_TLS,
    folder,
    is_planned,
    job,
    keepers,
    trial,
)
from fleetform.resolve.names import RESTIC, STORE_IMAGES
from fleetform.resolve.references import folder_of, laid_over, reachable
from fleetform.resolve.switches import tls_is_on

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.memory_store import Backup, MemoryStoreSpec
    from fleetform.plan.model import Workload
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import TreePath

BACKUP, DRILL, RESTORE = "backup", "drill", "restore"
COMPONENTS = (BACKUP, DRILL)
DEADLINE = 4 * 3600
"""Seconds after which whatever hangs is ended, and counts as failed."""
REPOSITORY = "/backups"
"""Where a claim with backups is mounted."""
KEY_FILE = "/var/run/gcs"
PLACE: TreePath = ("spec", "backup")


class Kept(NamedTuple):
    """The volume on which an agent keeps files of a store, and where they are on it."""

    agent: Resolved[AgentSpec]
    claim: ExistingClaim
    mount: Mount
    path: str


def drafts(
    fleet: Fleet,
    store: Resolved[MemoryStoreSpec],
    agents: Iterable[Draft | Workload],
    problems: list[Problem],
) -> Iterator[Draft]:
    """Yield the plans of what backs a store up, and of what tries the backups; `agents` are those of the fleet."""
    for jobs in _all_jobs(fleet, store, agents, problems):
        yield jobs.backup()
        if jobs.given.drill.enabled:
            yield jobs.quietly().drill()


def restores(
    fleet: Fleet,
    store: Resolved[MemoryStoreSpec],
    agents: Iterable[Draft | Workload],
    snapshot: str,
) -> Iterator[tuple[str, Draft]]:
    """Yield the plans of what restores a store, with the names of what is restored.

    Their pods pass for those of the backups, whom policies let through.
    """
    for jobs in _all_jobs(fleet, store, agents, []):
        yield jobs.name, jobs.restore(snapshot)


def _all_jobs(
    fleet: Fleet,
    store: Resolved[MemoryStoreSpec],
    agents: Iterable[Draft | Workload],
    problems: list[Problem],
) -> Iterator[_Jobs]:
    """Yield the jobs of a store: one set of a server, of files one for each agent that keeps some."""
    backup = store.spec.backup
    if backup is None or not is_planned(fleet, store):
        return
    if store.spec.type != FILES:
        yield _Jobs(fleet, store, backup, problems)
        return
    for number, kept_by in enumerate(_files(fleet, store, agents, problems)):
        # What is wrong with the image or the bucket is so for all of them, and said once.
        yield _Jobs(fleet, store, backup, [] if number else problems, kept_by)


def _files(
    fleet: Fleet,
    store: Resolved[MemoryStoreSpec],
    agents: Iterable[Draft | Workload],
    problems: list[Problem],
) -> Iterator[Kept]:
    """Yield where agents keep a store's files; a volume that ends with its pod is a Problem, none at all that of a rule."""
    named = {id(agent) for agent in keepers(fleet, store)}
    for agent in agents:
        if id(agent.resolved) not in named:
            continue
        spec: AgentSpec = agent.resolved.spec
        assert spec.memory is not None
        path = folder_of(laid_over(fleet, store, spec.memory))
        mount = kept_at(path, agent.mounts)
        volume = next((item for item in agent.volumes if mount and item.name == mount.volume), None)
        if mount is None or volume is None:
            continue
        source = volume.source
        if isinstance(source, Claim):  # one that a StatefulSet makes is named by its pod
            name = f"{volume.name}-{agent.resolved.name}-0" if spec.stateful else volume.name
            source = ExistingClaim(name, source.mode or "ReadWriteOnce")
        if isinstance(source, ExistingClaim):
            yield Kept(agent.resolved, source, mount._replace(volume=STORE_FILES), path)
        else:
            problems.append(_lost(store, agent.resolved, path))


def _lost(store: Resolved[MemoryStoreSpec], agent: Resolved[AgentSpec], path: str) -> Problem:
    return store.problem(
        PLACE,
        "cannot-back-up",
        f"Agent `{agent.name}` in {agent.file} keeps its files at `{path}` in a volume that ends with its pod",
        hint="give that volume of the agent a `claim`, or remove `backup`",
        key=True,
    )


class _Access(NamedTuple):
    """What a container needs to reach something."""

    env: tuple[Variable, ...]
    volumes: tuple[Volume, ...] = ()
    mounts: tuple[Mount, ...] = ()


class _Jobs:
    """What the jobs of one store have in common."""

    def __init__(
        self,
        fleet: Fleet,
        store: Resolved[MemoryStoreSpec],
        backup: Backup,
        problems: list[Problem],
        kept_by: Kept | None = None,
    ) -> None:
        self.fleet, self.store, self.given = fleet, store, backup
        self.problems = problems
        self.kept_by = kept_by
        self.name = kept_by.agent.name if kept_by else store.name
        self.dump: Dump = DUMPS[store.spec.type or ""]
        self.restic = self._image(view.make("MemoryStore", "ImageName", RESTIC), PLACE)
        self.tools = self.restic if kept_by else self._image(_tools(store), (*PLACE, "image"))

    def quietly(self) -> _Jobs:
        """Return the same with Problems of its own: they have been said."""
        return _Jobs(self.fleet, self.store, self.given, [], self.kept_by)

    def backup(self) -> Draft:
        """Return what dumps and keeps."""
        draft = self._draft(job(self.name), BACKUP, self.restic)
        draft.schedule = self.given.schedule
        draft.command = ("sh", "-c", KEPT, BACKUP, *kept(self.given.keep))
        if self.kept_by is not None:
            draft.beside_of = self.kept_by.agent.name
        self._first(draft, "dump", self.tools, self.dump.dump, self._held(draft))
        self._then(draft, self._repository(draft))
        return draft

    def drill(self) -> Draft:
        """Return what fetches the last backup and tries it."""
        draft = self._draft(trial(self.name), DRILL, self.tools)
        draft.schedule = self.given.drill.schedule
        # One account: a cloud says by its name what it may do.
        draft.workload = view.replace(draft.workload, service_account=job(self.name))
        draft.command = _script(DRILL, self.dump.drill)
        self._first(draft, "fetch", self.restic, (FETCHED, "latest"), self._repository(draft))
        self._then(draft, _Access(()))
        return draft

    def restore(self, snapshot: str) -> Draft:
        """Return what fetches a backup and puts it into the store."""
        draft = self._draft(job(self.name), RESTORE, self.tools)
        draft.shape = Shape.JOB
        draft.command = _script(RESTORE, self.dump.restore)
        self._first(draft, "fetch", self.restic, (FETCHED, snapshot), self._repository(draft))
        self._then(draft, self._held(draft, restored=True))
        return draft

    # -- parts of a job --------------------------------------------------------------------------

    def _draft(self, name: str, component: str, image: tuple[str, str]) -> Draft:
        workload = view.replace(self._workload(), identity=self.given.identity)
        draft = Draft(self.store.called(name), workload, component)
        draft.shape = Shape.SCHEDULED
        draft.time_zone = self.given.time_zone
        draft.overlaps, draft.deadline = False, DEADLINE
        draft.image, draft.drain = image, settings.DRAIN
        draft.volumes = (Volume(DUMP, Scratch(self.given.scratch)),)
        return draft

    def _workload(self) -> Any:
        """Return a workload that is where the agent of the files is, as the same user, or where the environment says."""
        if self.kept_by is not None:
            return containers.beside(self.kept_by.agent.spec, self.given.resources)
        empty: Any = view.make("Agent", "AgentSpec", {})
        placed = containers.placed(empty.pod_template, self.fleet.environment.backups)
        return view.replace(empty, resources=self.given.resources, pod_template=placed)

    def _image(self, given: Any, path: TreePath) -> tuple[str, str]:
        return containers.image(self.fleet, self.store, given, path, self.problems)

    def _first(
        self,
        draft: Draft,
        name: str,
        image: tuple[str, str],
        words: tuple[str, ...],
        access: _Access,
    ) -> None:
        """Let a container complete before the main one."""
        extra = Extra(
            name=name,
            image=image[0],
            pull_policy=self.fleet.environment.images.pull_policy or "",
            command=_script(name, words),
            args=(),
            ports=(),
            env=access.env,
            compute=containers.compute(self.given.resources, containers.DEFAULT),
            mounts=(Mount(DUMP, FOLDER), *access.mounts, Mount(SCRATCH, "/tmp")),  # noqa: S108 - the pod's own
        )
        draft.beside = (extra,)
        draft.volumes += access.volumes

    def _then(self, draft: Draft, access: _Access) -> None:
        """Give the main container what it needs."""
        draft.env = access.env
        draft.volumes += access.volumes
        draft.mounts = (Mount(DUMP, FOLDER), *access.mounts)

    def _held(self, draft: Draft, *, restored: bool = False) -> _Access:
        """Return how what the store holds is reached; files are written by what restores them alone."""
        if self.kept_by is None:
            return self._server(draft)
        _, claim, mount, path = self.kept_by
        env, mount = (Variable("STORE_FOLDER", path),), mount._replace(read_only=not restored)
        return _Access(env, (Volume(STORE_FILES, claim),), (mount,))

    def _server(self, draft: Draft) -> _Access:
        """Return how the store's server is reached, and open the way to it."""
        spec = reachable(self.fleet, self.store)
        section = getattr(spec, spec.type)
        place: TreePath = ("spec", spec.type, "host")
        self.problems += traffic.to_host(
            self.fleet, draft, self.store, section.host, section.port, place
        )
        env = (
            Variable(
                self.dump.host, hosts.written_out(self.fleet, self.store.namespace, section.host)
            ),
            Variable(self.dump.port, str(section.port)),
            *self.dump.env(section),
        )
        if not tls_is_on(section.tls) or section.tls.secret_ref is None:
            return _Access(env)
        given = section.tls
        keys = ("ca.crt", *(("tls.crt", "tls.key") if given.client_certificate else ()))
        return _mounted(env, STORE_TLS, SecretFolder(given.secret_ref.name, keys), CERTIFICATES)

    def _repository(self, draft: Draft) -> _Access:
        """Return where backups are kept, and open the way there."""
        secret, to = self.given.password_secret_ref, self.given.to
        env: tuple[Variable, ...] = (
            Variable("STORE", self.store.name),
            Variable("RESTIC_PASSWORD", SecretRef(secret.name, secret.key)),
        )
        if to.s3 is not None:
            return self._s3(draft, to.s3, env)
        if to.gcs is not None:
            return self._gcs(draft, to.gcs, env)
        if to.pvc is None:
            return _Access(env)  # a Problem has been said
        place = f"{REPOSITORY}/{self.store.name}{self._of_agent}"
        env = (*env, Variable("RESTIC_REPOSITORY", place))
        # A claim that is made is called as its volume is; one that exists may have a name that no volume can have.
        name = to.pvc.name if to.pvc.size else CLAIM
        source: Claim | ExistingClaim = ExistingClaim(to.pvc.name, "ReadWriteOnce")
        if to.pvc.size:
            source = Claim(to.pvc.size, "ReadWriteOnce", to.pvc.storage_class or "")
        return _Access(env, (Volume(name, source),), (Mount(name, REPOSITORY),))

    @property
    def _of_agent(self) -> str:
        """The folder of an agent in that of its store."""
        return f"/{self.name}" if self.kept_by else ""

    def _s3(self, draft: Draft, given: Any, env: tuple[Variable, ...]) -> _Access:
        server = (given.endpoint or f"https://s3.{given.region}.amazonaws.com").rstrip("/")
        self._to(draft, server, (*PLACE, "to", "s3", "endpoint"))
        keys = (
            ("AWS_ACCESS_KEY_ID", given.access_key_secret_ref),
            ("AWS_SECRET_ACCESS_KEY", given.secret_key_secret_ref),
        )
        return _Access(
            (
                *env,
                Variable(
                    "RESTIC_REPOSITORY",
                    f"s3:{server}/{given.bucket}/{folder(self.fleet, self.store, given.prefix)}{self._of_agent}",
                ),
                *([Variable("AWS_DEFAULT_REGION", given.region)] if given.region else ()),
                *(Variable(name, SecretRef(ref.name, ref.key)) for name, ref in keys if ref),
            )
        )

    def _gcs(self, draft: Draft, given: Any, env: tuple[Variable, ...]) -> _Access:
        self._to(draft, "https://storage.googleapis.com", (*PLACE, "to", "gcs"))
        env = (
            *env,
            Variable(
                "RESTIC_REPOSITORY",
                f"gs:{given.bucket}:/{folder(self.fleet, self.store, given.prefix)}{self._of_agent}",
            ),
        )
        ref = given.credentials_secret_ref
        if ref is None:
            return _Access(env)
        key = Variable("GOOGLE_APPLICATION_CREDENTIALS", f"{KEY_FILE}/{ref.key}")
        return _mounted((*env, key), GCS_KEY, SecretFolder(ref.name, (ref.key,)), KEY_FILE)

    def _to(self, draft: Draft, url: str, path: TreePath) -> None:
        self.problems += traffic.to_url(self.fleet, draft, self.store, url, path)


def _script(name: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command of a script, which calls itself by a name, and its arguments."""
    return ("sh", "-c", words[0], name, *words[1:])


def _mounted(env: tuple[Variable, ...], name: str, secret: SecretFolder, path: str) -> _Access:
    """Return an access by the files of a Secret."""
    return _Access(env, (Volume(name, secret),), (Mount(name, path, read_only=True),))


def _tools(store: Resolved[MemoryStoreSpec]) -> Any:
    """Return the image with the server's own programs."""
    spec = store.spec
    if spec.backup is not None and spec.backup.image is not None:
        return spec.backup.image
    if spec.provision is not None and spec.provision.container is not None:
        return spec.provision.container.image
    return view.make("MemoryStore", "Image", STORE_IMAGES[spec.type or ""])
