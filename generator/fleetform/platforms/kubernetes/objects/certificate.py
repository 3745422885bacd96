"""Certificate: cert-manager's order for the host of an Ingress."""

from __future__ import annotations

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, data, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the Certificate, nothing when TLS ends elsewhere."""
    expose = plan.expose
    if expose is None or not expose.tls_secret:
        return ()
    spec = {
        "secretName": expose.tls_secret,
        "dnsNames": [expose.host],
        "issuerRef": {"group": "cert-manager.io", **data(expose.issuer)},
    }
    return (
        workload_object(plan, "cert-manager.io/v1", "Certificate", expose.tls_secret, spec=spec),
    )
