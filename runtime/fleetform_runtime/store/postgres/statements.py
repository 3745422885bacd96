"""Longer SQL statements of the store in PostgreSQL."""

TABLES = """
CREATE TABLE IF NOT EXISTS {schema}.sessions (
  agent text NOT NULL, owner text NOT NULL, id text NOT NULL,
  revision bigint NOT NULL, updated double precision NOT NULL, meta text NOT NULL,
  PRIMARY KEY (agent, owner, id));
CREATE INDEX IF NOT EXISTS sessions_used ON {schema}.sessions (agent, owner, updated);
CREATE TABLE IF NOT EXISTS {schema}.messages (
  agent text NOT NULL, owner text NOT NULL, session text NOT NULL, number bigint NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (agent, owner, session, number),
  FOREIGN KEY (agent, owner, session) REFERENCES {schema}.sessions ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS {schema}.runs (
  agent text NOT NULL, id text NOT NULL, expires double precision NOT NULL,
  is_cancelled boolean NOT NULL DEFAULT false, body text NOT NULL,
  PRIMARY KEY (agent, id));
CREATE TABLE IF NOT EXISTS {schema}.events (
  agent text NOT NULL, run text NOT NULL, number bigint NOT NULL, kind text NOT NULL,
  data text NOT NULL,
  PRIMARY KEY (agent, run, number),
  FOREIGN KEY (agent, run) REFERENCES {schema}.runs ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS {schema}.leases (
  agent text NOT NULL, name text NOT NULL, holder text NOT NULL, expires double precision NOT NULL,
  PRIMARY KEY (agent, name));
CREATE TABLE IF NOT EXISTS {schema}.pauses (
  agent text NOT NULL, run text NOT NULL, since double precision NOT NULL, body text NOT NULL,
  PRIMARY KEY (agent, run));
CREATE TABLE IF NOT EXISTS {schema}.tasks (
  agent text NOT NULL, owner text NOT NULL, run text NOT NULL, touched double precision NOT NULL,
  PRIMARY KEY (agent, run),
  FOREIGN KEY (agent, run) REFERENCES {schema}.runs ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS tasks_touched ON {schema}.tasks (agent, owner, touched);
"""
NAMES = ("sessions", "messages", "runs", "events", "leases", "pauses", "tasks")
MEMORY_TABLES = """
CREATE TABLE IF NOT EXISTS {schema}.memories (
  agent text NOT NULL, owner text NOT NULL, id text NOT NULL,
  used double precision NOT NULL, hits bigint NOT NULL, body text NOT NULL,
  PRIMARY KEY (agent, owner, id));
CREATE INDEX IF NOT EXISTS memories_used ON {schema}.memories (agent, used);
CREATE TABLE IF NOT EXISTS {schema}.memory_marks (
  agent text NOT NULL, owner text NOT NULL, mark text NOT NULL, expires double precision NOT NULL,
  PRIMARY KEY (agent, owner));
"""
MEMORY_NAMES = ("memories", "memory_marks")
"""Tables of agents that remember their users; the others need no right to create them."""
READY = """
INSERT INTO {schema}.leases VALUES ($1, 'ready', '', $2)
ON CONFLICT (agent, name) DO UPDATE SET expires = EXCLUDED.expires
"""
INSERT = """
WITH changed AS (
  INSERT INTO {schema}.sessions VALUES ($1, $2, $3, $5, $6, $7)
  ON CONFLICT DO NOTHING RETURNING 1),
added AS (
  INSERT INTO {schema}.messages
  SELECT $1, $2, $3, $8 + ordinality, body
  FROM changed, unnest($9::text[]) WITH ORDINALITY AS rows (body))
SELECT count(*) FROM changed WHERE $4::bigint = 0
"""
UPDATE = """
WITH changed AS (
  UPDATE {schema}.sessions SET revision = $5, updated = $6, meta = $7
  WHERE agent = $1 AND owner = $2 AND id = $3 AND revision = $4 RETURNING 1),
added AS (
  INSERT INTO {schema}.messages
  SELECT $1, $2, $3, $8 + ordinality, body
  FROM changed, unnest($9::text[]) WITH ORDINALITY AS rows (body))
SELECT count(*) FROM changed
"""

PORTION = 500
EXPIRE_SESSIONS = """
WITH gone AS (
  DELETE FROM {schema}.sessions WHERE agent = $1 AND (owner, id) IN (
    SELECT owner, id FROM {schema}.sessions WHERE agent = $1 AND updated <= $2 LIMIT $3)
  RETURNING 1)
SELECT count(*) FROM gone
"""
EXPIRE_RUNS = """
WITH gone AS (
  DELETE FROM {schema}.runs WHERE agent = $1 AND id IN (
    SELECT id FROM {schema}.runs WHERE agent = $1 AND expires <= $2 LIMIT $3)
  RETURNING 1),
leases AS (DELETE FROM {schema}.leases WHERE agent = $1 AND expires <= $2 - 3600)
SELECT count(*) FROM gone
"""
PUT_RUN = """
WITH changed AS (
  INSERT INTO {schema}.runs (agent, id, expires, body) VALUES ($1, $2, $3, $4)
  ON CONFLICT (agent, id) DO UPDATE SET expires = $3, body = $4)
INSERT INTO {schema}.events
SELECT $1, $2, * FROM unnest($5::bigint[], $6::text[], $7::text[]) ON CONFLICT DO NOTHING
"""
CLAIM_RUN = """
INSERT INTO {schema}.runs (agent, id, expires, body) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING 1
"""
LIST_TASK = """
INSERT INTO {schema}.tasks VALUES ($1, $2, $3, $4)
ON CONFLICT (agent, run) DO UPDATE SET touched = EXCLUDED.touched
"""
TASKS = """
SELECT runs.body FROM {schema}.tasks JOIN {schema}.runs ON runs.agent = tasks.agent AND runs.id = tasks.run
WHERE tasks.agent = $1 AND tasks.owner = $2 AND runs.expires > $3
ORDER BY tasks.touched DESC, tasks.run DESC LIMIT $4
"""
REMOVE_EXPIRED_RUN = """
DELETE FROM {schema}.runs WHERE agent = $1 AND id = $2 AND expires <= $3 RETURNING 1
"""
HOLD = """
INSERT INTO {schema}.leases AS held
VALUES ($1, $2, $3, extract(epoch FROM clock_timestamp())::float8 + $4::float8)
ON CONFLICT (agent, name) DO UPDATE SET holder = EXCLUDED.holder, expires = EXCLUDED.expires
WHERE held.holder = $3 OR held.expires <= extract(epoch FROM clock_timestamp())
RETURNING 1
"""
IS_HELD = """
SELECT expires > extract(epoch FROM clock_timestamp()) FROM {schema}.leases
WHERE agent = $1 AND name = $2
"""

OWNER_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
MARK = "SELECT mark FROM {schema}.memory_marks WHERE agent = $1 AND owner = $2 AND expires > $3"
SET_MARK = """
INSERT INTO {schema}.memory_marks VALUES ($1, $2, $3, $4)
ON CONFLICT (agent, owner) DO UPDATE SET mark = $3, expires = $4
"""
MEMORIES = """
SELECT body, used, hits FROM {schema}.memories
WHERE agent = $1 AND owner = $2 AND used > $3 ORDER BY id
"""
PUT_MEMORIES = """
INSERT INTO {schema}.memories
SELECT $1, $2, * FROM unnest($3::text[], $4::float8[], $5::bigint[], $6::text[])
ON CONFLICT (agent, owner, id) DO UPDATE
SET used = EXCLUDED.used, hits = EXCLUDED.hits, body = EXCLUDED.body
"""
TOUCH_MEMORIES = """
UPDATE {schema}.memories SET used = $3, hits = hits + 1
WHERE agent = $1 AND owner = $2 AND id = ANY($4::text[])
"""
REMOVE_MEMORIES = """
WITH gone AS (
  DELETE FROM {schema}.memories
  WHERE agent = $1 AND owner = $2 AND ($3::text[] IS NULL OR id = ANY($3)) RETURNING 1)
SELECT count(*) FROM gone
"""
EXPIRE_MEMORIES = """
WITH gone AS (
  DELETE FROM {schema}.memories WHERE agent = $1 AND (owner, id) IN (
    SELECT owner, id FROM {schema}.memories WHERE agent = $1 AND used <= $2 LIMIT $3)
  RETURNING 1),
marks AS (DELETE FROM {schema}.memory_marks WHERE agent = $1 AND expires <= $4)
SELECT count(*) FROM gone
"""
