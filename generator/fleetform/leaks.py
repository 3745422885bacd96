"""What credentials look like, and how to speak of a text without repeating one."""

from __future__ import annotations

import re
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
TOKENS: tuple[tuple[str, str], ...] = (
    ("an OpenAI or Anthropic key", r"\bsk-(?:ant-|proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    (
        "an AWS secret access key",
        r"(?i)\baws_?secret_?access_?key\b[\"'\s:=]+[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a Slack token", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    ("a Slack webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"),
    ("a Discord token", r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}"),
    ("a Telegram token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Google OAuth token", r"\b(?:ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})"),
    ("a Stripe key", r"\b(?:[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{32,})"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
    ("a Langfuse key", r"\b[sp]k-lf-[0-9a-f-]{36}"),
    ("a LangSmith key", r"\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    (
        "a model provider's key",
        (
            r"\b(?:gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{30,}"
            r"|pplx-[A-Za-z0-9]{40,}|tvly-[A-Za-z0-9-]{20,}|pcsk_[A-Za-z0-9_]{40,})"
        ),
    ),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a Twilio key", r"\bSK[0-9a-f]{32}\b"),
    ("a Mailgun key", r"\bkey-[0-9a-f]{32}\b"),
    ("a Shopify token", r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("a Docker Hub token", r"\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    ("an Atlassian token", r"\bATATT3[A-Za-z0-9_=-]{50,}"),
    ("a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}"),
    ("a Databricks token", r"\bdapi[a-f0-9]{32}"),
    ("a Doppler token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,}"),
    ("a Terraform Cloud token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    ("a New Relic key", r"\bNRAK-[A-Z0-9]{27}"),
    ("a Grafana token", r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{32,}"),
    ("a Linear key", r"\blin_api_[A-Za-z0-9]{40}"),
    ("a Notion token", r"\b(?:secret|ntn)_[A-Za-z0-9]{40,}"),
    ("a JWT", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    (
        "a private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|PuTTY-User-Key-File|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
    ),
    ("a Vault token", r"\bhvs\.[A-Za-z0-9_-]{20,}"),
    ("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{40,}={0,2}"),
    ("a signed Azure URL", r"[?&]sig=[A-Za-z0-9%+/]{40,}"),
    ("a password in a URL", r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}$]*:(?!\$[({])[^/\s:@{}]+@[^\s/]+"),
    ("a bearer token", r"(?i)\bbearer\s+(?=[A-Za-z0-9._~+/-]*[0-9])[A-Za-z0-9._~+/-]{24,}=*"),
    (
        "a password for basic sign-in",
        r"(?i)\bbasic\s+(?=[A-Za-z0-9+/]*[0-9=])[A-Za-z0-9+/]{16,}={0,2}",
    ),
    # Named as one, and with capitals, small letters and digits: no word and no placeholder.
    (
        "a credential",
        (
            r"(?i:\b[a-z0-9_.-]*(?:passw(?:or)?d|api[_-]?key|secret(?:[_-]?key)?|token)[\"']?)"
            r"\s*[:=]\s*[\"']?(?=[^\s\"'{}<>$]*[0-9])(?=[^\s\"'{}<>$]*[A-Z])"
            r"(?=[^\s\"'{}<>$]*[a-z])[^\s\"'{}<>$()/:]{10,}"
        ),
    ),
)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((kind, re.compile(pattern)) for kind, pattern in TOKENS)


def kind_of(text: str) -> str:
    """Return what kind of credential a text holds, empty when it holds none."""
    if _HINT.search(text):
        for kind, pattern in _patterns():
            if pattern.search(text):
                return kind
    return ""


def masked(text: str) -> str:
    """Return a text with every credential replaced by stars."""
    if _HINT.search(text):
        for _, pattern in _patterns():
            text = pattern.sub("***", text)
    return text
