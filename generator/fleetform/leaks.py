"""What credentials look like, and how to mention a text without repeating one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter

TOKENS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "an OpenAI or Anthropic key",
        ("sk-",),
        r"\bc?sk-(?![A-Za-z0-9_-]{0,40}(?i:x{6}|your|replace|here))[A-Za-z0-9_-]{20,}",
    ),
    ("an AWS access key", ("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "an AWS secret access key",
        ("key",),
        r"(?i)(?:\b|_)secret_?access_?key\b[\"'\s:=]{1,9}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    (
        "a GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    (
        "a GitLab token",
        ("gl",),
        r"\bgl(?:pat|rt|dt|ptt|cbt|ft|soat|imt|agent|oas|ffct)-[A-Za-z0-9_-]{20,}",
    ),
    ("a Slack token", ("xox", "xapp-"), r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    (
        "a webhook",
        ("hook",),
        (
            r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"
            r"|https://discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{40,}"
            r"|\.webhook\.office\.com/webhookb2/[A-Za-z0-9@/-]{60,}"
        ),
    ),
    (
        "a Discord token",
        (".",),
        r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    ),
    ("a Telegram token", (":aa",), r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    ("a Google API key", ("aiza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    (
        "a Google OAuth token",
        ("ya29.", "gocspx-"),
        r"\b(?:ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})",
    ),
    (
        "a Stripe key",
        ("k_live_", "k_test_", "whsec_"),
        r"\b(?:[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{32,})",
    ),
    ("a Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
    ("a Langfuse key", ("k-lf-",), r"\b[sp]k-lf-[0-9a-f-]{36}"),
    ("a LangSmith key", ("lsv2_",), r"\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    (
        "a model provider's key",
        (
            "gsk_",
            "xai-",
            "r8_",
            "pplx-",
            "tvly-",
            "pcsk_",
            "nvapi-",
            "tgp_v1_",
            "fw_",
            "sk_",
            "jina_",
            "fc-",
            "e2b_",
            "pa-",
            "absk",
            "api_org_",
        ),
        (
            r"\b(?:gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{40,}"
            r"|tvly-[A-Za-z0-9-]{20,}|pcsk_[A-Za-z0-9_]{40,}|nvapi-[A-Za-z0-9_-]{40,}|tgp_v1_[A-Za-z0-9_-]{40,}"
            r"|fw_[A-Za-z0-9]{24}\b|sk_[0-9a-f]{48}\b|jina_[A-Za-z0-9_-]{50,}|fc-[0-9a-f]{32}\b|e2b_[0-9a-f]{40}\b"
            r"|pa-(?=[A-Za-z0-9_-]{0,42}[0-9])[A-Za-z0-9_-]{43}\b|ABSK[A-Za-z0-9+/]{90,}|api_org_[A-Za-z]{34})"
        ),
    ),
    ("a SendGrid key", ("sg.",), r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a Twilio key", ("sk",), r"\bSK[0-9a-f]{32}\b"),
    ("a Mailgun key", ("key-",), r"\bkey-[0-9a-f]{32}\b"),
    ("a Shopify token", ("shp",), r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    ("an npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", ("pypi-",), r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("a Docker Hub token", ("dckr_pat_",), r"\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    ("an Atlassian token", ("atatt3",), r"\bATATT3[A-Za-z0-9_=-]{50,}"),
    ("a DigitalOcean token", ("_v1_",), r"\bdo[opr]_v1_[a-f0-9]{64}"),
    ("a Databricks token", ("dapi",), r"\bdapi[a-f0-9]{32}"),
    ("a Doppler token", ("dp.",), r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,}"),
    ("a Terraform Cloud token", (".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    ("a New Relic key", ("nrak-",), r"\bNRAK-[A-Z0-9]{27}"),
    ("a Grafana token", ("glsa_", "glc_"), r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{32,}"),
    (
        "a service's token",
        (
            "sntrys_",
            "figd_",
            "pmak-",
            "sbp_",
            "pscale_",
            "hrku-",
            "nfp_",
            "rubygems_",
            "oy2",
            "pul-",
            "ops_eyj",
            "tskey-",
            "atbb",
            "cfpat-",
            "dt0c01.",
            "pnu_",
            "rdme_",
            "sgp_",
            "tfp_",
            "pat",
            "sq0",
            "akcp",
            "1//0",
            "flyv1",
            "-us",
            "pk_",
        ),
        (
            r"\b(?:sntrys_[A-Za-z0-9_+/=]{40,}|figd_[A-Za-z0-9_-]{30,}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|sbp_[0-9a-f]{40}"
            r"|pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{30,}|HRKU-[A-Za-z0-9_-]{36,}|nfp_[A-Za-z0-9]{36}"
            r"|rubygems_[0-9a-f]{48}|oy2[a-z0-9]{43}\b|pul-[0-9a-f]{40}|ops_eyJ[A-Za-z0-9_=-]{80,}"
            r"|tskey-[a-z]+-[A-Za-z0-9-]{20,}|ATBB[A-Za-z0-9]{28,}|CFPAT-[A-Za-z0-9_-]{40,}"
            r"|dt0c01\.[A-Z2-7]{24}\.[A-Z2-7]{64}|pnu_[A-Za-z0-9]{36}|rdme_[A-Za-z0-9]{60,}|sgp_[0-9a-f_]{40,}"
            r"|tfp_[A-Za-z0-9_-]{40,}|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}|pat-(?:na|eu)[0-9]-[0-9a-f-]{36}"
            r"|sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,}|AKCp[A-Za-z0-9]{60,}|1//0[A-Za-z0-9_-]{40,}|FlyV1 fm[0-9]_\S{40,}"
            r"|[0-9a-f]{32}-us[0-9]{1,2}\b|pk_[0-9]{6,9}_[A-Z0-9]{32})"
        ),
    ),
    ("a Linear key", ("lin_api_",), r"\blin_api_[A-Za-z0-9]{40}"),
    ("a Notion token", ("secret_", "ntn_"), r"\b(?:secret|ntn)_[A-Za-z0-9]{40,}"),
    ("a JWT", ("eyj",), r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    (
        "a private key",
        ("private key", "putty", "age-secret"),
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|PuTTY-User-Key-File|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
    ),
    ("a Vault token", ("hvs.", "hvb."), r"\bhv[sb]\.[A-Za-z0-9_-]{20,}"),
    (
        "an Azure key",
        ("key=", "q~"),
        r"\b(?:Account|SharedAccess)Key=[A-Za-z0-9+/]{40,}={0,2}|\b[A-Za-z0-9_.-]{3}[78]Q~[A-Za-z0-9_.~-]{31,}",
    ),
    (
        "a password in a connection string",
        ("password=", "pwd="),
        (
            r"(?i)\b(?:host|server|data source|user id|user|uid)=[^\s;]{1,200}[\s;][^\n]{0,200}?"
            r"\b(?:password|pwd)=[\"']?(?![$<{*])[^\s;\"'<>{}$]{4,}"
        ),
    ),
    ("a signed Azure URL", ("sig=",), r"[?&]sig=[A-Za-z0-9%+/]{40,}"),
    (
        "a password in a URL",
        ("@",),
        r"\b[a-z][a-z0-9+.-]{0,30}://[^/\s:@{}$]{0,200}:(?!\$[({])[^/\s:@{}]{1,500}@[^\s/]",
    ),
    (
        "a bearer token",
        ("earer",),
        r"(?i)\bbearer\s+(?=[A-Za-z0-9._~+/-]*[0-9])[A-Za-z0-9._~+/-]{24,}=*",
    ),
    (
        "a basic authentication password",
        ("basic", "curl", "auth"),
        (
            r"(?i)\bbasic\s{1,9}(?=[A-Za-z0-9+/]{0,99}[0-9=])[A-Za-z0-9+/]{16,}={0,2}"
            r"|(?i:authorization[\"']?\s{0,9}[:=]\s{0,9}[\"']?basic)\s{1,9}(?=[A-Za-z0-9+/]{1,99}[A-Z])[A-Za-z0-9+/]{12,}"
            r"|\bcurl\b[^\n]{0,200}?\s-u\s{0,3}[\"']?[^\s:\"'$<{]{1,99}:(?!\$)[^\s\"'<>{}$]{4,}"
            r"|\"auth\":\s{0,9}\"[A-Za-z0-9+/]{20,}"
        ),
    ),
    # Named like a credential, and with capitals, small letters and digits: not a word or a
    # placeholder.
    (
        "a credential",
        ("passw", "pwd", "passphrase", "key", "secret", "token"),
        (
            r"(?i:(?:passw(?:or)?d|pwd|passphrase|ap[ip][_-]?key|secret(?:[_-]?key)?|token)[\"']?)(?:\s{0,9}[:=]|\s{1,9}is\b)"
            r"\s{0,9}[\"']?(?:(?=[^\s\"'{}<>$]{0,40}[0-9])(?=[^\s\"'{}<>$]{0,40}[A-Z])"
            r"(?=[^\s\"'{}<>$]{0,40}[a-z])[^\s\"'{}<>$()/:]{8,}|[0-9a-f]{32,})"
        ),
    ),
)


"""Description, texts of which one must occur, and pattern. No pattern may look far from where it starts: whatever a
text contains, searching it takes linear time. The required texts are in lower case, and searched first: patterns
are slow to compile and to try one by one."""
_WITH_DOTS = tuple(token for token in TOKENS if "." in token[1])
SHORTEST = 8
"""Length of the shortest text that can be recognised as a credential."""
LONG = 2_000
"""Length from which searching for each text separately is faster than for all at once."""


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


@cache
def _hint() -> re.Pattern[str]:
    """Return a pattern that finds any of the needs, branched by first letter, since most texts are short."""
    needs = sorted({need for _, words, _ in TOKENS for need in words if need != "."})
    groups = groupby(needs, key=itemgetter(0))
    return re.compile(
        "|".join(f"{re.escape(k)}(?:{'|'.join(re.escape(w[1:]) for w in g)})" for k, g in groups)
    )


def _likely(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    if len(text) < SHORTEST:
        return
    small = text.lower()
    tokens = TOKENS
    if len(text) < LONG and not _hint().search(small):
        tokens = _WITH_DOTS if text.count(".") > 1 else ()
    for kind, needs, pattern in tokens:
        if any(need in small for need in needs):
            yield kind, _pattern(pattern)


@lru_cache(maxsize=4_096)
def kind_of(text: str) -> str:
    """Return what kind of credential a text contains, or an empty string."""
    return next((kind for kind, pattern in _likely(text) if pattern.search(text)), "")


def masked(text: str) -> str:
    """Return a text with every credential replaced with asterisks."""
    for _, pattern in _likely(text):
        text = pattern.sub("***", text)
    return text
