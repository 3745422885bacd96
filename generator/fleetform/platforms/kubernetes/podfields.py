"""Fields that a spec's `podTemplate` hands to the pod as they are: one name each, all else derives.

The name is the same in the spec, in the pod and among the values of the chart, whose comment says the type.
"""

PLAIN = (
    "priorityClassName",
    "runtimeClassName",
    "nodeSelector",
    "tolerations",
    "affinity",
)
"""In the order in which a pod has them."""
