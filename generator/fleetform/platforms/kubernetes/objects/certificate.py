"""Certificate: cert-manager's certificate for the hosts of an Ingress."""

from __future__ import annotations

from fleetform.names import fit
from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Certificate, nothing if TLS ends elsewhere."""
    expose = plan.expose
    if expose is None or not expose.tls_secret:
        return ()
    spec = {
        "secretName": expose.tls_secret,
        "dnsNames": [*expose.hosts],
        "issuerRef": {"group": "cert-manager.io", **data(expose.issuer)},
    }
    return (
        workload_object(plan, "cert-manager.io/v1", "Certificate", expose.tls_secret, spec=spec),
    )


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `certificate`."""
    return {"certificate": _value(plan, default["certificate"])}


def _value(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or not expose.tls_secret:
        return default
    usual = expose.tls_secret == fit(plan.name, "-tls")
    return {
        "enabled": True,
        "secretName": "" if usual else expose.tls_secret,
        "dnsNames": [] if expose.kind == "Ingress" else [*expose.hosts],
        "issuerRef": data(expose.issuer),
    }


LENSES = {
    "Certificate": (
        lens("spec.dnsNames", "certificate.dnsNames"),
        lens("spec.issuerRef", "certificate.issuerRef"),
    )
}
