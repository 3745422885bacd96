package main

import (
	metav1unstructured "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
)

// kind is one that the server brings with it.
type kind struct {
	resource string
	strategy rest.RESTCreateStrategy
}

// builtIn has no entry for what nobody renders: an unknown kind is an error, never a silent pass.
var builtIn = map[schema.GroupKind]kind{
	{Kind: "ConfigMap"}:                                              {"configmaps", configmap.Strategy},
	{Kind: "LimitRange"}:                                             {"limitranges", limitrange.Strategy},
	{Kind: "Namespace"}:                                              {"namespaces", namespace.Strategy},
	{Kind: "PersistentVolumeClaim"}:                                  {"persistentvolumeclaims", persistentvolumeclaim.Strategy},
	{Kind: "Pod"}:                                                    {"pods", pod.Strategy},
	{Kind: "ResourceQuota"}:                                          {"resourcequotas", resourcequota.Strategy},
	{Kind: "Secret"}:                                                 {"secrets", secret.Strategy},
	{Kind: "Service"}:                                                {"services", service.Strategy},
	{Kind: "ServiceAccount"}:                                         {"serviceaccounts", serviceaccount.Strategy},
	{Group: "apps", Kind: "DaemonSet"}:                               {"daemonsets", daemonset.Strategy},
	{Group: "apps", Kind: "Deployment"}:                              {"deployments", deployment.Strategy},
	{Group: "apps", Kind: "StatefulSet"}:                             {"statefulsets", statefulset.Strategy},
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:          {"horizontalpodautoscalers", horizontalpodautoscaler.Strategy},
	{Group: "batch", Kind: "CronJob"}:                                {"cronjobs", cronjob.Strategy},
	{Group: "batch", Kind: "Job"}:                                    {"jobs", job.Strategy},
	{Group: "networking.k8s.io", Kind: "Ingress"}:                    {"ingresses", ingress.Strategy},
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:              {"networkpolicies", networkpolicy.Strategy},
	{Group: "policy", Kind: "PodDisruptionBudget"}:                   {"poddisruptionbudgets", poddisruptionbudget.Strategy},
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              {"priorityclasses", priorityclass.Strategy},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        {"clusterroles", clusterrole.Strategy},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: {"clusterrolebindings", clusterrolebinding.Strategy},
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               {"roles", role.Strategy},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        {"rolebindings", rolebinding.Strategy},
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}: {
		"validatingadmissionpolicies", validatingadmissionpolicy.NewStrategy(nil, nil),
	},
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}: {
		"validatingadmissionpolicybindings", validatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
	},
}

// decoder refuses unknown and double fields, and fills in defaults.
var decoder = legacyscheme.Codecs.DecoderToVersion(
	jsonserializer.NewSerializerWithOptions(
		jsonserializer.DefaultMetaFactory, legacyscheme.Scheme, legacyscheme.Scheme,
		jsonserializer.SerializerOptions{Strict: true},
	),
	runtime.InternalGroupVersioner,
)

// typed knows the keys of each list: server-side apply refuses an object in which one occurs twice.
var typed = applyconfigurations.NewTypeConverter(legacyscheme.Scheme)

func judgeBuiltIn(said *verdict, found kind, head header, text []byte) {
	object, _, err := decoder.Decode(text, nil, nil)
	said.refuse(err)
	if object == nil {
		return
	}
	if service, ok := object.(*core.Service); ok && service.Spec.ClusterIP != "" {
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP} // as the allocator does, before validation
	}
	create(said, found.strategy, head, found.resource, object)
	content := map[string]any{}
	if err := utiljson.Unmarshal(text, &content); err != nil {
		said.refuse(err)
		return
	}
	_, err = typed.ObjectToTyped(&metav1unstructured.Unstructured{Object: content})
	said.refuse(err)
}
