"""What containers of backups run: how each type of store is dumped, tried and restored, and how restic keeps files.

A dump becomes a file, is checked, and only then leaves the pod: what is piped into restic by a process that dies is kept
as if it were whole. Beside the dump is written what it holds, by which a drill tells whether all of it came back. The
images have these programs, a POSIX shell, awk and sed, and nothing of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform.plan.model import SecretRef, Variable
from fleetform.plan.stores import restoring
from fleetform.records import NamedTuple
from fleetform.resolve.backups import FILES
from fleetform.resolve.switches import tls_is_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleetform.models.memory_store import Keep

FOLDER = "/dump"
"""Where a dump is, in each container."""
CERTIFICATES = "/var/run/store-tls"
"""Where certificates of the store's server are."""

# -- restic --------------------------------------------------------------------------------------

# Exit code 10: there is no repository. With a wrong password it is another one, and nothing is made anew.
KEPT = f"""\
set -eu
cd {FOLDER}
restic --no-cache cat config >/dev/null || {{ code=$?; [ "$code" = 10 ] || exit "$code"; restic --no-cache init; }}
restic --no-cache unlock
restic --no-cache backup --host "$STORE" --retry-lock 10m .
restic --no-cache forget --host "$STORE" --group-by host --retry-lock 10m "$@" --prune
"""
"""Keeps a folder; its arguments say which backups stay."""

FETCHED = f"""\
set -eu
restic --no-cache restore "$1" --host "$STORE" --retry-lock 10m --target {FOLDER}
"""
"""Brings a backup back into the folder; its argument is the snapshot."""


def kept(keep: Keep) -> tuple[str, ...]:
    """Return the arguments that say which backups stay."""
    rows = (("daily", keep.daily), ("weekly", keep.weekly), ("monthly", keep.monthly))
    return tuple(f"--keep-{name}={count}" for name, count in rows if count)


# -- Redis ---------------------------------------------------------------------------------------

_ASK = """\
ask() { redis-cli -h "$STORE_HOST" -p "$STORE_PORT" $STORE_OPTIONS --no-auth-warning "$@"; }
"""
_CHECKED = """\
checked() {
  redis-check-rdb dump.rdb >"$1" || { cat "$1"; exit 1; }
  sed -n 's/^\\[info\\] \\([0-9]*\\) '"$2"'.*/\\1/p' "$1"
}
"""
_DUMP_REDIS = f"""\
set -eu
cd {FOLDER}
{_ASK}{_CHECKED}
ask --rdb dump.rdb
checked /tmp/checked 'keys read' >keys
sha256sum dump.rdb >dump.sha256
echo "dumped $(cat keys) keys"
"""

# Keys whose time has come since the dump are no longer loaded: how many is read of the dump, before and after.
_SERVER = f"""\
set -eu
cd {FOLDER}
sha256sum -c dump.sha256
{_CHECKED}
keys=$(checked /tmp/checked 'keys read')
[ "$keys" = "$(cat keys)" ] || {{ echo "the dump has $keys keys, and had $(cat keys)"; exit 1; }}
gone=$(checked /tmp/checked 'already expired')
sh -c "$1" redis-server --dir {FOLDER} --appendonly yes --save "" --port 0 --unixsocket /tmp/drill.sock \\
  ${{SERVER_OPTIONS:-}} &
ours() {{ redis-cli -s /tmp/drill.sock "$@"; }}
until ours ping 2>/dev/null | grep -q PONG; do kill -0 $!; sleep 0.2; done
count() {{ ours info keyspace | tr -d '\\r' | sed -n 's/^db[0-9]*:keys=\\([0-9]*\\),.*/\\1/p'; }}
back=0
for found in $(count); do back=$((back + found)); done
"""
_DRILL_REDIS = f"""{_SERVER}
ours shutdown nosave || true
later=$(checked /tmp/checked 'already expired')
echo "$back of $keys keys came back, $gone to $later had expired"
[ "$keys" -gt 0 ] || {{ echo "there was nothing in the backup"; exit 1; }}
[ "$back" -le $((keys - gone)) ] && [ "$back" -ge $((keys - later)) ]
"""

# A server takes a dump when it starts, and this one runs: a server in the pod hands it each key, as it is.
_MOVE = """\
local cursor, moved = "0", 0
repeat
  local page = redis.call("SCAN", cursor, "COUNT", "100")
  cursor = page[1]
  if #page[2] > 0 then
    local words = {ARGV[1], ARGV[2], "", ARGV[3], "60000", "COPY", "REPLACE"}
    if ARGV[5] ~= "" and ARGV[4] ~= "" then
      for _, word in ipairs({"AUTH2", ARGV[4], ARGV[5]}) do words[#words + 1] = word end
    elseif ARGV[5] ~= "" then
      for _, word in ipairs({"AUTH", ARGV[5]}) do words[#words + 1] = word end
    end
    words[#words + 1] = "KEYS"
    for _, key in ipairs(page[2]) do words[#words + 1] = key end
    redis.call("MIGRATE", unpack(words))
    moved = moved + #page[2]
  end
until cursor == "0"
return moved
"""
_RESTORE_REDIS = f"""\
password="${{REDISCLI_AUTH:-}}"
unset REDISCLI_AUTH
{_SERVER}
for found in $(ours info keyspace | tr -d '\\r' | sed -n 's/^db\\([0-9]*\\):.*/\\1/p'); do
  printf %s "$password" \\
    | ours -n "$found" -x eval "$2" 0 "$STORE_HOST" "$STORE_PORT" "$found" "${{STORE_USER:-}}" >/tmp/moved
  grep -Eq '^[0-9]+$' /tmp/moved || {{ cat /tmp/moved; exit 1; }}
  echo "database $found: $(cat /tmp/moved) keys restored"
done
ours shutdown nosave || true
"""


_HANDING_ON = (
    f"--tls-cluster yes --tls-ca-cert-file {CERTIFICATES}/ca.crt"
    f" --tls-cert-file {CERTIFICATES}/tls.crt --tls-key-file {CERTIFICATES}/tls.key"
)
"""Options with which a server hands keys to another one over TLS; it does not without a certificate of its own."""


def can_hand_on(redis: Any) -> bool:
    """Whether a server in a pod can hand keys to a store's."""
    given = redis.tls
    return not tls_is_on(given) or (given.secret_ref is not None and given.client_certificate)


def _redis(redis: Any) -> Iterator[Variable]:
    options = []
    if redis.auth.username:
        yield Variable("STORE_USER", redis.auth.username)
        options += ["--user", redis.auth.username]
    if redis.auth.secret_ref:
        secret = redis.auth.secret_ref
        yield Variable("REDISCLI_AUTH", SecretRef(secret.name, secret.key))
    if tls_is_on(redis.tls):
        options += ["--tls"]
        if redis.tls.insecure_skip_verify:
            options += ["--insecure"]
        if redis.tls.secret_ref:
            options += ["--cacert", f"{CERTIFICATES}/ca.crt"]
            if redis.tls.client_certificate:
                options += ["--cert", f"{CERTIFICATES}/tls.crt", "--key", f"{CERTIFICATES}/tls.key"]
                yield Variable("SERVER_OPTIONS", _HANDING_ON)
    yield Variable("STORE_OPTIONS", " ".join(options))


# -- PostgreSQL ----------------------------------------------------------------------------------

# The end of a table must be there: pg_restore may die in the middle of one, on the other side of the pipe.
_ROWS = r"""
/^COPY .* FROM stdin;$/ && !inside { table = $0; sub(/^COPY /, "", table); sub(/ \([^(]*\) FROM stdin;$/, "", table); rows = 0; inside = 1; next }
inside && /^\\\.$/ { print rows, table; inside = 0; next }
inside { rows++ }
/^pg_restore failed$/ { broken = 1 }
END { exit inside || broken }
"""
_COUNTED = f"""\
counted() {{
  {{ pg_restore --data-only --file=- dump.pgc || echo "pg_restore failed"; }} | awk '{_ROWS.strip()}'
}}
"""
_DUMP_POSTGRES = f"""\
set -eu
cd {FOLDER}
{_COUNTED}
pg_dump --format=custom --no-password --file=dump.pgc
counted >rows
sha256sum dump.pgc >dump.sha256
echo "dumped $(awk '{{ rows += $1 }} END {{ print rows + 0 }}' rows) rows"
"""

# Programs of PostgreSQL want to know the name of their user, whom a pod may give any number.
_DRILL_POSTGRES = f"""\
set -eu
cd {FOLDER}
sha256sum -c dump.sha256
{_COUNTED}
counted | cmp - rows
if ! getent passwd "$(id -u)" >/dev/null; then
  echo "drill:x:$(id -u):$(id -g)::/tmp:/bin/false" >/tmp/passwd
  echo "drill:x:$(id -g):" >/tmp/group
  for library in /usr/lib/*/libnss_wrapper.so; do
    export LD_PRELOAD="$library" NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/tmp/group
  done
fi
export PGHOST=/tmp PGPORT=5432 PGUSER=drill PGDATABASE=drill
initdb --pgdata={FOLDER}/server --username=drill --auth=trust --no-locale --encoding=UTF8 --no-sync >/tmp/log
postgres -D {FOLDER}/server -k /tmp -c listen_addresses= -c fsync=off >>/tmp/log 2>&1 &
until pg_isready --quiet; do kill -0 $! || {{ cat /tmp/log; exit 1; }}; sleep 0.2; done
createdb drill
pg_restore --dbname=drill --no-owner --no-privileges --single-transaction --exit-on-error dump.pgc
total=0
while read -r rows table; do
  back=$(psql --no-psqlrc --tuples-only --no-align --command "SELECT count(*) FROM $table" </dev/null)
  [ "$back" = "$rows" ] || {{ echo "$table: $back of $rows rows came back"; exit 1; }}
  total=$((total + back))
done <rows
kill $!
wait $! || true
echo "$total rows came back"
[ "$total" -gt 0 ] || {{ echo "there was nothing in the backup"; exit 1; }}
"""  # noqa: S608 - a shell's, of tables in a server of its own
_RESTORE_POSTGRES = f"""\
set -eu
cd {FOLDER}
sha256sum -c dump.sha256
pg_restore --dbname="$PGDATABASE" --no-password --no-owner --no-privileges --clean --if-exists \\
  --single-transaction --exit-on-error dump.pgc
echo "restored $(awk '{{ rows += $1 }} END {{ print rows + 0 }}' rows) rows"
"""


def _postgres(postgres: Any) -> Iterator[Variable]:
    yield Variable("PGDATABASE", postgres.database)
    yield Variable("PGUSER", postgres.username)
    if postgres.password_secret_ref:
        secret = postgres.password_secret_ref
        yield Variable("PGPASSWORD", SecretRef(secret.name, secret.key))
    if not tls_is_on(postgres.tls):
        return
    given = postgres.tls
    yield Variable("PGSSLMODE", "require" if given.insecure_skip_verify else "verify-full")
    if not given.secret_ref:
        yield Variable("PGSSLROOTCERT", "system")
        return
    yield Variable("PGSSLROOTCERT", f"{CERTIFICATES}/ca.crt")
    if given.client_certificate:
        yield Variable("PGSSLCERT", f"{CERTIFICATES}/tls.crt")
        yield Variable("PGSSLKEY", f"{CERTIFICATES}/tls.key")


# -- files ---------------------------------------------------------------------------------------

# The index of sessions comes before them, as their names do: what is written meanwhile is as if a process had died then.
_EACH = """\
each() {
  for one in "$1"/* "$1"/.[!.]*; do
    case "${one##*/}" in lost+found | .lock | .restored) continue ;; esac
    [ ! -e "$one" ] || "$2" "$one" || return 1
  done
}
listed() { (cd "$1" && find . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2); }
"""
_DUMP_FILES = f"""\
set -eu
cd {FOLDER}
{_EACH}
copied() {{ cp -RP "$1" files/; }}
[ -d "$STORE_FOLDER" ] || {{ echo "there is no $STORE_FOLDER"; exit 1; }}
for try in 1 2 3 4 5; do
  rm -rf files
  mkdir files
  if each "$STORE_FOLDER" copied; then break; fi
  [ "$try" != 5 ] || {{ echo "files go while they are copied"; exit 1; }}
done
listed files >sums
echo "copied $(awk 'END {{ print NR }}' sums) files"
"""
_WHOLE = f"""\
set -eu
cd {FOLDER}
{_EACH}
listed files >/tmp/sums
cmp /tmp/sums sums || {{ echo "FAILED: files are not what was copied"; exit 1; }}
[ -s sums ] || {{ echo "there was nothing in the backup"; exit 1; }}
"""
_DRILL_FILES = f"""{_WHOLE}
echo "$(awk 'END {{ print NR }}' sums) files came back"
"""
# What is there is kept until all that comes is beside it; an agent that runs holds what it has read.
_RESTORE_FILES = f"""{_WHOLE}
mkdir -p "$STORE_FOLDER"
cd "$STORE_FOLDER"
exec 9>>.lock
if command -v flock >/dev/null; then flock -n -x 9; fi || {{ echo "an agent writes to $STORE_FOLDER: scale it to zero first"; exit 1; }}
rm -rf .restored
mkdir .restored
cp -RP {FOLDER}/files/. .restored/
removed() {{ rm -rf "$1"; }}
each . removed
moved() {{ mv "$1" .; }}
each .restored moved
rmdir .restored
echo "restored $(awk 'END {{ print NR }}' {FOLDER}/sums) files"
"""


class Dump(NamedTuple):
    """How a type of store is dumped and tried: scripts with their arguments, and how its server is reached, if it has one."""

    dump: tuple[str, ...]
    drill: tuple[str, ...]
    restore: tuple[str, ...]
    host: str = ""
    """Variable with the server's host."""
    port: str = ""
    env: Callable[[Any], Iterator[Variable]] = lambda _: iter(())
    """Its section of a spec → variables besides host and port."""


DUMPS = {
    "redis": Dump(
        dump=(_DUMP_REDIS,),
        drill=(_DRILL_REDIS, restoring(FOLDER)),
        restore=(_RESTORE_REDIS, restoring(FOLDER), _MOVE),
        host="STORE_HOST",
        port="STORE_PORT",
        env=_redis,
    ),
    "postgres": Dump(
        dump=(_DUMP_POSTGRES,),
        drill=(_DRILL_POSTGRES,),
        restore=(_RESTORE_POSTGRES,),
        host="PGHOST",
        port="PGPORT",
        env=_postgres,
    ),
    FILES: Dump(dump=(_DUMP_FILES,), drill=(_DRILL_FILES,), restore=(_RESTORE_FILES,)),
}
