"""Fields that a spec's `podTemplate` passes on to the pod unchanged: one name each, everything else is derived.

The name is the same in the spec, in the pod and in the chart's values, whose comment gives the
type.
"""

PLAIN = (
    "priorityClassName",
    "runtimeClassName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "hostAliases",
)
"""In the order in which a pod has them."""
