// Judge objects as an API server does that is asked to create them: decode strictly, fill in defaults,
// validate. Nothing runs and nothing is stored.
//
// Usage: kube-validate CRDS < DOCUMENTS. CRDS is a folder of definitions as JSON. Prints one JSON document per
// object, in their order.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/yaml"
)

// verdict is what an API server says of one object. An error refuses it, a warning goes to whoever applied it,
// a default is a field that the definition of a custom resource adds.
type verdict struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Name       string   `json:"name"`
	Errors     []string `json:"errors"`
	Warnings   []string `json:"warnings"`
	Defaults   []string `json:"defaults"`
}

// header is what tells one object from another.
type header struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kube-validate CRDS < DOCUMENTS")
		os.Exit(2)
	}
	if err := judgeAll(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judgeAll(folder string, in io.Reader, out io.Writer) error {
	custom, err := readDefinitions(folder)
	if err != nil {
		return err
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	encoder := json.NewEncoder(out)
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if text := strings.TrimSpace(string(document)); text == "" || text == "---" {
			continue
		}
		if err := encoder.Encode(judge(custom, document)); err != nil {
			return err
		}
	}
}

// judge returns the verdict on one document, whatever is wrong with it.
func judge(custom map[schema.GroupVersionKind]*definition, document []byte) verdict {
	said := verdict{Errors: []string{}, Warnings: []string{}, Defaults: []string{}}
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		said.Errors = append(said.Errors, err.Error())
		return said
	}
	var head header
	if err := json.Unmarshal(text, &head); err != nil {
		said.Errors = append(said.Errors, err.Error())
		return said
	}
	said.APIVersion, said.Kind, said.Name = head.APIVersion, head.Kind, head.Metadata.Name
	gvk := head.GroupVersionKind()
	if found, ok := custom[gvk]; ok {
		found.judge(&said, head, text)
	} else if found, ok := builtIn[gvk.GroupKind()]; ok {
		judgeBuiltIn(&said, found, head, text)
	} else {
		said.Errors = append(said.Errors, "no such kind is known")
	}
	return said
}

// create does what a server does between decoding an object and storing it.
func create(said *verdict, strategy rest.RESTCreateStrategy, head header, resource string, object runtime.Object) {
	gvk := head.GroupVersionKind()
	ctx := genericrequest.WithNamespace(context.Background(), rest.ExpectedNamespaceForScope(
		namespaceOf(head), strategy.NamespaceScoped()))
	ctx = genericrequest.WithRequestInfo(ctx, &genericrequest.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: gvk.Group, APIVersion: gvk.Version, Resource: resource,
	})
	ctx = warning.WithWarningRecorder(ctx, said)
	accessor, ok := object.(metav1.Object)
	if !ok {
		said.Errors = append(said.Errors, "the object has no metadata")
		return
	}
	rest.FillObjectMetaSystemFields(accessor)
	said.refuse(rest.BeforeCreate(strategy, ctx, object))
}

func namespaceOf(head header) string {
	if head.Metadata.Namespace == "" {
		return metav1.NamespaceDefault
	}
	return head.Metadata.Namespace
}

// AddWarning makes a verdict the place where strategies leave their warnings.
func (said *verdict) AddWarning(_, text string) {
	said.Warnings = append(said.Warnings, text)
}

// refuse adds each cause of an error.
func (said *verdict) refuse(err error) {
	if err == nil {
		return
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && len(status.Status().Details.Causes) > 0 {
		for _, cause := range status.Status().Details.Causes {
			said.add(cause.Field + ": " + cause.Message)
		}
		return
	}
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, cause := range strict.Errors() {
			said.add(cause.Error())
		}
		return
	}
	said.add(err.Error())
}

func (said *verdict) add(text string) {
	if !slices.Contains(said.Errors, text) {
		said.Errors = append(said.Errors, text)
	}
}
