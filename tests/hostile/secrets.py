"""Credentials of many kinds, made up at run time so that none stands in this repository, and look-alikes."""

import base64
import json
import random
import re
import string

LETTERS = string.ascii_letters + string.digits
CHANCE = random.Random(20261121)


def _some(length: int, alphabet: str = LETTERS) -> str:
    """Return a text with a small letter, a capital and a digit where the alphabet has them."""
    while True:
        text = "".join(CHANCE.choices(alphabet, k=length))
        kinds = (str.islower, str.isupper, str.isdigit)
        if all(any(map(kind, text)) or not any(map(kind, alphabet)) for kind in kinds):
            return text


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + "234567"


ALPHABETS = {
    "": LETTERS,
    "hex": HEX,
    "base32": UPPER,
    "digits": string.digits,
    "letters": string.ascii_letters,
    "lower": string.ascii_lowercase,
    "lowerdigits": string.ascii_lowercase + string.digits,
}


def made(recipe: str) -> str:
    """Return an example of a form: `{20}` are letters and digits by chance, `{20:hex}` of an alphabet; `{{` is a brace."""
    text = re.sub(
        r"\{(\d+)(?::(\w+))?\}", lambda m: _some(int(m[1]), ALPHABETS[m[2] or ""]), recipe
    )
    return text.replace("{{", "{")


def _jwt() -> str:
    parts = [json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps({"sub": _some(8)})]
    body = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*body, _some(43)])


def _private_key(kind: str) -> str:
    lines = "\n".join(_some(64) for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----\n"


KINDS = {
    "OpenAI": lambda: "sk-" + _some(48),
    "libpq string": lambda: f"host=db user=app password={_some(9).lower()} dbname=x",
    "OpenAI project": lambda: "sk-proj-" + _some(64),
    "Anthropic": lambda: "sk-ant-api03-" + _some(80),
    "AWS key": lambda: "AKIA" + _some(16, UPPER),
    "AWS session key": lambda: "ASIA" + _some(16, UPPER),
    "AWS secret": lambda: "aws_secret_access_key = " + _some(40),
    "GitHub": lambda: CHANCE.choice(["ghp_", "gho_", "ghs_"]) + _some(36),
    "GitHub fine-grained": lambda: "github_pat_" + _some(22) + "_" + _some(59),
    "GitLab": lambda: "glpat-" + _some(20),
    "Slack": lambda: "xoxb-" + _some(12, string.digits) + "-" + _some(24),
    "Slack webhook": lambda: (
        "https://hooks.slack.com/services/T" + _some(8) + "/B" + _some(8) + "/" + _some(24)
    ),
    "Google": lambda: "AIza" + _some(35),
    "Stripe": lambda: "sk_live_" + _some(24),
    "Hugging Face": lambda: "hf_" + _some(34),
    "Langfuse": lambda: "sk-lf-" + "-".join(_some(n, HEX) for n in (8, 4, 4, 4, 12)),
    "SendGrid": lambda: "SG." + _some(22) + "." + _some(43),
    "npm": lambda: "npm_" + _some(36),
    "PyPI": lambda: "pypi-AgEIcHlwaS5vcmc" + _some(60),
    "JWT": _jwt,
    "RSA key": lambda: _private_key("RSA "),
    "private key": lambda: _private_key(""),
    "OpenSSH key": lambda: _private_key("OPENSSH "),
    "Vault": lambda: "hvs." + _some(90),
    "Azure storage": lambda: (
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + _some(86) + "=="
    ),
    "database URL": lambda: f"postgresql://app:{_some(16)}@db.example:5432/app",
    "bearer": lambda: "Bearer " + _some(40),
    "basic": lambda: "Basic " + base64.b64encode(f"user:{_some(12)}".encode()).decode(),
    "Telegram": lambda: _some(10, string.digits) + ":AA" + _some(33),
    "DigitalOcean": lambda: "dop_v1_" + _some(64, HEX),
    "Databricks": lambda: "dapi" + _some(32, HEX),
    "Twilio": lambda: "SK" + _some(32, HEX),
    "Groq": lambda: "gsk_" + _some(52),
    "Docker Hub": lambda: "dckr_pat_" + _some(27),
    "Shopify": lambda: "shpat_" + _some(32, HEX),
    "Grafana": lambda: "glsa_" + _some(32) + "_" + _some(8, HEX),
    "Notion": lambda: "ntn_" + _some(46),
    "assignment": lambda: "password: " + _some(14),
    "asked": lambda: "use api key " + _some(10, string.ascii_lowercase) + _some(8, string.digits),
}

KINDS |= {
    f"{kind} token": lambda begin=begin, length=length, alphabet=alphabet: begin + _some(length, alphabet)
    for kind, begin, length, alphabet in (
        ("GitLab runner", "glrt-", 20, LETTERS), ("GitLab deploy", "gldt-", 20, LETTERS), ("Vault batch", "hvb.", 90, LETTERS),
        ("NVIDIA", "nvapi-", 64, LETTERS), ("Together", "tgp_v1_", 43, LETTERS), ("Cerebras", "csk-", 48, LETTERS),
        ("ElevenLabs", "sk_", 48, HEX), ("Jina", "jina_", 60, LETTERS), ("Firecrawl", "fc-", 32, HEX), ("E2B", "e2b_", 40, HEX),
        ("Bedrock", "ABSK", 120, LETTERS), ("Sentry", "sntrys_", 80, LETTERS), ("Figma", "figd_", 40, LETTERS),
        ("Supabase", "sbp_", 40, HEX), ("PlanetScale", "pscale_pw_", 43, LETTERS), ("Heroku", "HRKU-", 36, HEX),
        ("Netlify", "nfp_", 36, LETTERS), ("RubyGems", "rubygems_", 48, HEX), ("Pulumi", "pul-", 40, HEX),
        ("Tailscale", "tskey-auth-", 40, LETTERS), ("Bitbucket", "ATBB", 32, LETTERS), ("Contentful", "CFPAT-", 43, LETTERS),
        ("Sourcegraph", "sgp_", 40, HEX), ("Groq", "gsk_", 52, LETTERS), ("Google refresh", "1//0", 60, LETTERS),
        ("Service Bus", "Endpoint=sb://x.example/;SharedAccessKeyName=Root;SharedAccessKey=", 43, LETTERS),
        ("Entra", "abc8Q~", 34, LETTERS), ("Discord hook", "https://discord.com/api/webhooks/123456789012345678/", 68, LETTERS),
        ("basic", "Authorization: Basic ", 20, string.ascii_letters), ("curl", "curl -u admin:", 11, LETTERS),
        ("said", "the password is ", 11, LETTERS), ("JDBC", "jdbc:postgresql://db/x?user=a&password=", 9, LETTERS),
        ("Docker", '{"auths":{"x":{"auth":"', 40, LETTERS), ("named", "DD_API_KEY=", 32, HEX),
    )
}  # fmt: skip
"""Kinds that their form gives away, wherever they stand."""
NAMED = (
    *("DB_PASSWORD", "PGPASSWORD", "OPENAI_API_KEY", "SECRET_KEY", "JWT_SIGNING_KEY", "GITHUB_PAT"),
    *(
        "clientSecret",
        "SMTP_PASS",
        "REDIS_AUTH_TOKEN",
        "ENCRYPTION_KEY",
        "apiKey",
        "AWS_SECRET_ACCESS_KEY",
    ),
)
"""Variables whose name says that the value is one, whatever it looks like."""
NUMBERED = (
    "API_KEY_2", "DB_PASSWORD_1", "API_TOKEN2", "PASSWORD_DB", "SECRET_FOR_SIGNING", "MYSQL_PWD_OLD", "OPENAI_API_KEY_V2", "apiKey2",
    "API_KEY_PROD", "TOKEN_BASE64", "clientSecretNew", "SMTP_PASSWORD_PRIMARY", "MYSQLPASSWORD", "authtoken", "DB_CREDS", "COOKIE_SALT",
    "SESSION_COOKIE", "DB_LOGIN", "DB_AUTH", "HMAC", "PRIVATE_KEY_3", "STORAGE_ACCOUNT_KEY", "db.password.2", "GITHUB_TOKENS", "ACCESS_KEY_B64",
)  # fmt: skip
"""Variables whose name says it, with something behind it."""
JOINED = (
    "PGPASS", "PWD_DB", "MQTTPWD", "ACMEPWD", "VNCPASS", "PASS_MQTT", "DBPWD", "DBpwd", "PASS_REDIS", "REDISPW", "MYSQLPWD", "mysqlPwd", "SMTPPASS", "LDAPPW", "LDAP_PSW", "PWDADMIN", "ROOTPW",
    "PSWD_ORACLE", "SSHPASS", "KEYSTOREPASS", "TRUSTSTORE_PWD", "PASSWORDKAFKA", "PASSWD_POSTGRES_PROD", "MONGOPASS", "SAPWD", "userpw", "FTPPASSWD_2",
    "RABBITMQPASS", "ADMINPASSCODE", "PASSWORT", "API_KEY_STRIPE", "WEBPWD", "pw.db", "jdbc.pass", "MYPASS", "DB_PSW_OLD", "TOKEN_GITHUB", "SECRET_SLACK",
)  # fmt: skip
"""Words and abbreviations joined in any order: credentials whatever they look like."""
HARMLESS = (
    "tokenBudget", "maxTokens", "MAX_TOKENS", "TOKEN_LIMIT", "TOKEN_TYPE", "PASSWORD_POLICY", "PASSWORD_MIN_LENGTH", "SECRET_NAME", "SECRET_ARN",
    "API_KEY_HEADER", "KEY_PREFIX", "AUTH_URL", "TOKEN_ENDPOINT", "SESSION_TTL", "COOKIE_NAME", "SESSION_TIMEOUT", "PUBLIC_KEY", "CACHE_KEY", "PARTITION_KEY",
    "compat", "pattern", "PASSAGE", "passport", "PASSPORT_ID", "surpass", "trespass", "underpass", "encompass", "passive", "passenger", "expat",
    "dispatch", "urlpat", "PASS_RATE", "NUM_PASSES", "passes", "PASSID", "TOKENID", "USERTOKENS_MAX", "DBPASSFILE", "PGPASSFILE", "PWDHOST", "DBPATH", "APPASSETS", "spawn", "pwa",
    "PWA_NAME", "DATABASE_NAME", "DB_ADMIN", "REDIS", "ADMIN", "KEY_REDIS", "KEYSTORE", "MAX_TOKENS_ADMIN", "SESSION_REDIS", "MAIL_CLIENT", "PASSENGER_APP",
    "tokenizer", "passthrough", "compass", "keyboard", "monkey", "author", "authority", "patience", "bypass", "PATH", "secretary", "TOKENS_PER_MINUTE",
)  # fmt: skip
"""Names that only speak of secrets."""
HEADERS = (
    "Authorization",
    "X-Api-Key",
    "Cookie",
    "Private-Token",
    "X-Goog-Api-Key",
    "Ocp-Apim-Subscription-Key",
)

INNOCENT = (
    *("You never ask for a password.", "Tell users to reset their password at example.com/reset."),
    *(
        "Use the bearer token flow.",
        "The bearer of this message is welcome.",
        "basic understanding of physics",
    ),
    *("basic internationalization support", "Basic authentication is not allowed here."),
    *(
        "Password: at least twelve characters, one of them a digit.",
        "token: the next word",
        "secret: unknown",
    ),
    *(
        "api_key: required",
        "api-key=${API_KEY}",
        "password=$(PASSWORD)",
        "token={{ .Values.token }}",
    ),
    *(
        "password: <your password here>",
        "SECRET=",
        "tokenization: on",
        "maxTokens=4096",
        "tokens: 128000",
    ),
    *("https://user@example.com/path", "https://example.com/a:b@c", "mailto:support@example.com"),
    *(
        "postgresql://db.example:5432/app",
        "postgresql://${USER}:${PASSWORD}@db/app",
        "redis://redis:6379/0",
    ),
    *("ssh://git@git.example.com/acme/fleet", "git@github.com:acme/fleet.git", "s3://bucket/key"),
    *(
        "arn:aws:iam::123456789012:role/prod-agent",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x",
    ),
    *(
        "projects/acme/secrets/openai/versions/latest",
        "vault:secret/data/openai#key",
        "file:/run/secrets/x",
    ),
    *(
        "sha256:c5743d9ac5095654a174b8f80ecd43d993cd1075a28affa1bc2e5d929c03de16",
        "9f86d081884c7d659a2feaa0c55ad015",
    ),
    *(
        "550e8400-e29b-41d4-a716-446655440000",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "2026-11-21T10:00:00Z",
        "v1.2.3-rc.1",
    ),
    *(
        "ghcr.io/acme/agent:1.4.2",
        "registry.example:5000/a/b@sha256:00",
        "k8s.gcr.io/pause:3.9",
        "gpt-4o-2024-08-06",
    ),
    *(
        "claude-3-5-sonnet-20241022",
        "text-embedding-3-large",
        "meta-llama/Llama-3.3-70B-Instruct",
        "qwen3:8b",
    ),
    *(
        "sk-learn is a library",
        "task-force",
        "ask-me-anything-about-kubernetes",
        "risk-assessment-2026",
        "desk-lamp",
    ),
    *(
        "disk-usage-of-all-nodes-in-the-cluster",
        "hf_hub",
        "npm_config_cache",
        "pypi-mirror",
        "glpat is a prefix",
    ),
    *(
        "ghp_ begins a token of GitHub",
        "AKIA begins a key of AWS",
        "xoxb- begins a bot token",
        "keys begin with sk-",
    ),
    *(
        "AIza is how keys of Google begin",
        "eyJ is base64 of a brace",
        "SG. is short for Singapore",
        "dapi",
    ),
    *(
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI user@host",
    ),
    *(
        "SELECT * FROM users WHERE token = ?",
        "sum(rate(agent_llm_tokens_total[5m]))",
        "secretRef: {name: openai}",
    ),
    *(
        "apiKeySecretRef: {name: a, key: b}",
        "secretKeyRef",
        "imagePullSecrets",
        "passwordPolicy: strong",
    ),
    *(
        "^[A-Za-z0-9]{8,}$",
        "^sk-[A-Za-z0-9]+$",
        "(?i)password",
        "[0-9a-f]{64}",
        "\\d{3}-\\d{2}-\\d{4}",
    ),
    *(
        "The quick brown fox jumps over the lazy dog",
        "{{ .steps.analyze.output.token }}",
        "${steps.x.secret}",
    ),
    *(
        'Answer in JSON: {"token": "string", "secret": "string"}',
        'Return {"api_key": null}',
        "key-value store",
    ),
    *(
        "key-performance-indicators",
        "keyboard",
        "monkey-patch",
        "SKU12345678",
        "SK is short for Slovakia",
        "sig=short",
    ),
    *(
        "https://example.com/?sig=abc&token=abc",
        "https://hooks.slack.com/",
        "https://hooks.example.com/services/T0/B0/x",
    ),
    *(
        "10:AAPL closed higher",
        "ratio 16:9",
        "12345678:AA",
        "M.Sc. in mathematics",
        "Ñandú ünïcode 漢字 🎉",
    ),
    *(
        "secret_santa_list",
        "ntn_ is a prefix",
        "gsk_ is a prefix too",
        "r8_road",
        "pplx-online",
        "xai-explained",
        "dp.status",
    ),
    *(
        "bearer authentication-with-a-very-long-word-indeed",
        "basic/premium/enterprise",
        "token=next",
        "secret garden",
    ),
    *(
        "password manager",
        "passwordless sign-in",
        "The token budget is 200k",
        "x" * 64,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ),
    "sk-xxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-your-key-here-please-replace",
    "Authorization: Basic Credentials",
    "the password is secret",
    "the token is refreshed every hour",
    "curl -u $USER:$PASSWORD https://example.com",
    "password: changeme",
    "pwd: /srv/app",
    'api_key = getenv("OPENAI_API_KEY")',
    "fc-match",
    "pa-per",
    "patterns.example",
    "-us1",
    "1//0",
    "projects/p/secrets/s/versions/12",
    "https://discord.com/api/webhooks/ID/TOKEN",
    "oy2",
    "token_limit: 128000",
    "AccountKey=<key>",
    "Keep the passphrase in a vault.",
    "ops_eyJ",
    "a pat on the back.",
    "FlyV1 is a format",
    "secret: d41d8",
)
"""Text that speaks of credentials, or looks a little like one, and is none."""
