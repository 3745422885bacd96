package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
)

// definition is one served version of a CustomResourceDefinition. Its rules are compiled when the first object
// asks for them: most of the seventy definitions are not needed.
type definition struct {
	resource   string
	namespaced bool
	gvk        schema.GroupVersionKind
	schema     *apiextensionsv1.JSONSchemaProps
	structural *structuralschema.Structural
	strategy   rest.RESTCreateStrategy
}

func readDefinitions(folder string) (map[schema.GroupVersionKind]*definition, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no definitions", folder)
	}
	found := map[schema.GroupVersionKind]*definition{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, version := range crd.Spec.Versions {
			if !version.Served {
				continue
			}
			gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
			found[gvk] = &definition{
				resource:   crd.Spec.Names.Plural,
				namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
				gvk:        gvk,
				schema:     version.Schema.OpenAPIV3Schema,
			}
		}
	}
	return found, nil
}

// compile makes the strategy by which a server judges the definition's objects.
func (of *definition) compile() error {
	if of.strategy != nil {
		return nil
	}
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(of.schema, internal, nil); err != nil {
		return err
	}
	structural, err := structuralschema.NewStructural(internal)
	if err != nil {
		return err
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		return err
	}
	of.structural = structural
	of.strategy = customresource.NewStrategy(
		unstructuredscheme.NewUnstructuredObjectTyper(), of.namespaced, of.gvk, validator, nil, structural, nil, nil, nil,
	)
	return nil
}

func (of *definition) judge(said *verdict, head header, text []byte) {
	if err := of.compile(); err != nil {
		said.refuse(err)
		return
	}
	content := map[string]any{}
	if err := utiljson.Unmarshal(text, &content); err != nil {
		said.refuse(err)
		return
	}
	said.prune(content, of.structural)
	given := runtime.DeepCopyJSON(content)
	defaulting.Default(content, of.structural)
	delete(content, "status") // no one can set it, and no one compares it
	added(said, "", given, content)
	sort.Strings(said.Defaults)
	create(said, of.strategy, head, of.resource, &unstructured.Unstructured{Object: content})
}

// prune refuses what the server would drop, as a strict request does.
func (said *verdict) prune(content map[string]any, structural *structuralschema.Structural) {
	track := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	invalid, unknown := objectmeta.CoerceWithOptions(nil, content, structural, true, objectmeta.CoerceOptions{
		ReturnUnknownFieldPaths: true,
	})
	if invalid != nil {
		said.refuse(invalid)
	}
	for _, path := range append(unknown, pruning.PruneWithOptions(content, structural, true, track)...) {
		said.add("unknown field " + path)
	}
}

// added lists the fields that one tree has and the other lacks; both have the same lists.
func added(said *verdict, path string, given, full any) {
	switch full := full.(type) {
	case map[string]any:
		before, _ := given.(map[string]any)
		for key, value := range full {
			inside := field.NewPath(path).Child(key).String()
			if path == "" {
				inside = key
			}
			if old, ok := before[key]; ok {
				added(said, inside, old, value)
			} else {
				text, _ := json.Marshal(value)
				said.Defaults = append(said.Defaults, inside+": "+string(text))
			}
		}
	case []any:
		before, _ := given.([]any)
		for index, value := range full {
			added(said, fmt.Sprintf("%s[%d]", path, index), before[index], value)
		}
	default:
		if !reflect.DeepEqual(given, full) {
			said.Defaults = append(said.Defaults, fmt.Sprintf("%s: %v", path, full))
		}
	}
}
