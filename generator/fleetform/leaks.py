"""What credentials look like, and how to speak of a text without repeating one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

# Tokens whose form gives them away. Most values have none of the text that they begin with or hold:
# that is looked for first, since these patterns are slow to build and to try one by one.
_HINT = re.compile(
    r"sk-|A[KS]IA|gh[pousr]_|github_pat_|glpat-|xox|xapp-|hooks\.slack\.com|AIza|ya29\.|GOCSPX-|k_live_"
    r"|k_test_|whsec_|hf_|k-lf-|SG\.|npm_|pypi-|eyJ|PRIVATE KEY|hvs\.|AccountKey=|@|earer|EARER|asic |ASIC "
    r"|:AA|do[opr]_v1_|dapi|SK[0-9a-f]|key-[0-9a-f]|shp[acps]|dp\.|atlasv1|NRAK-|gl(?:sa|c)_|lin_api_"
    r"|secret_|ntn_|gsk_|xai-|r8_|pplx-|pcsk_|tvly-|lsv2_|dckr_pat_|ATATT3|AGE-SECRET|PuTTY|access_?key"
    r"|ACCESS_?KEY|[MNO][A-Za-z0-9]{23}|[Pp]assw|PASSW|[Aa]pi[_-]?[Kk]ey|API_KEY|[Ss]ecret|SECRET"
    r"|[Tt]oken|TOKEN|sig="
)
TOKENS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "an OpenAI or Anthropic key",
        ("sk-",),
        r"\bsk-(?:ant-|proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}",
    ),
    ("an AWS access key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "an AWS secret access key",
        ("key", "KEY", "Key"),
        r"(?i)\baws_?secret_?access_?key\b[\"'\s:=]+[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    (
        "a GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    ("a GitLab token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a Slack token", ("xox", "xapp-"), r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    (
        "a Slack webhook",
        ("hooks.slack.com",),
        r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}",
    ),
    (
        "a Discord token",
        (".",),
        r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    ),
    ("a Telegram token", (":AA",), r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    ("a Google API key", ("AIza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    (
        "a Google OAuth token",
        ("ya29.", "GOCSPX-"),
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
        ("gsk_", "xai-", "r8_", "pplx-", "tvly-", "pcsk_"),
        (
            r"\b(?:gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{30,}"
            r"|pplx-[A-Za-z0-9]{40,}|tvly-[A-Za-z0-9-]{20,}|pcsk_[A-Za-z0-9_]{40,})"
        ),
    ),
    ("a SendGrid key", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a Twilio key", ("SK",), r"\bSK[0-9a-f]{32}\b"),
    ("a Mailgun key", ("key-",), r"\bkey-[0-9a-f]{32}\b"),
    ("a Shopify token", ("shp",), r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    ("an npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", ("pypi-",), r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("a Docker Hub token", ("dckr_pat_",), r"\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    ("an Atlassian token", ("ATATT3",), r"\bATATT3[A-Za-z0-9_=-]{50,}"),
    ("a DigitalOcean token", ("_v1_",), r"\bdo[opr]_v1_[a-f0-9]{64}"),
    ("a Databricks token", ("dapi",), r"\bdapi[a-f0-9]{32}"),
    ("a Doppler token", ("dp.",), r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,}"),
    ("a Terraform Cloud token", (".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    ("a New Relic key", ("NRAK-",), r"\bNRAK-[A-Z0-9]{27}"),
    ("a Grafana token", ("glsa_", "glc_"), r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{32,}"),
    ("a Linear key", ("lin_api_",), r"\blin_api_[A-Za-z0-9]{40}"),
    ("a Notion token", ("secret_", "ntn_"), r"\b(?:secret|ntn)_[A-Za-z0-9]{40,}"),
    ("a JWT", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    (
        "a private key",
        ("PRIVATE KEY", "PuTTY", "AGE-SECRET"),
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|PuTTY-User-Key-File|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
    ),
    ("a Vault token", ("hvs.",), r"\bhvs\.[A-Za-z0-9_-]{20,}"),
    ("an Azure storage key", ("AccountKey=",), r"AccountKey=[A-Za-z0-9+/]{40,}={0,2}"),
    ("a signed Azure URL", ("sig=",), r"[?&]sig=[A-Za-z0-9%+/]{40,}"),
    (
        "a password in a URL",
        ("@",),
        r"\b[a-z][a-z0-9+.-]{0,30}://[^/\s:@{}$]{0,200}:(?!\$[({])[^/\s:@{}]{1,500}@[^\s/]",
    ),
    (
        "a bearer token",
        ("earer", "EARER"),
        r"(?i)\bbearer\s+(?=[A-Za-z0-9._~+/-]*[0-9])[A-Za-z0-9._~+/-]{24,}=*",
    ),
    (
        "a password for basic sign-in",
        ("asic ", "ASIC "),
        r"(?i)\bbasic\s+(?=[A-Za-z0-9+/]*[0-9=])[A-Za-z0-9+/]{16,}={0,2}",
    ),
    # Named as one, and with capitals, small letters and digits: no word and no placeholder.
    (
        "a credential",
        (":", "="),
        (
            r"(?i:(?:passw(?:or)?d|api[_-]?key|secret(?:[_-]?key)?|token)[\"']?)"
            r"\s{0,9}[:=]\s{0,9}[\"']?(?=[^\s\"'{}<>$]{0,64}[0-9])(?=[^\s\"'{}<>$]{0,64}[A-Z])"
            r"(?=[^\s\"'{}<>$]{0,64}[a-z])[^\s\"'{}<>$()/:]{10,}"
        ),
    ),
)


"""What each is, texts of which it must hold one, and its pattern. None may look far from where it starts:
whatever stands in a long text, searching it takes time that grows with its length alone."""
_SHORT = 2_000


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _likely(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    if len(text) > _SHORT or _HINT.search(text):  # for a long one the texts themselves are faster
        for kind, needs, pattern in TOKENS:
            if any(need in text for need in needs):
                yield kind, _pattern(pattern)


def kind_of(text: str) -> str:
    """Return what kind of credential a text holds, empty when it holds none."""
    return next((kind for kind, pattern in _likely(text) if pattern.search(text)), "")


def masked(text: str) -> str:
    """Return a text with every credential replaced by stars."""
    for _, pattern in _likely(text):
        text = pattern.sub("***", text)
    return text
