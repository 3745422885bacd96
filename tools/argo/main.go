// Validate the objects of Argo Workflows in YAML files, strictly and with Argo's own rules, as `argo lint` does offline.
//
// With -fill FILE NAME it prints what the pod of a template of FILE finds in its first input artifact, once the
// controller has filled in `parameters` and `global`, which are read as JSON from standard input.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/argoproj/argo-workflows/v4/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v4/pkg/client/clientset/versioned/fake"
	"github.com/argoproj/argo-workflows/v4/util/logging"
	"github.com/argoproj/argo-workflows/v4/workflow/common"
	"github.com/argoproj/argo-workflows/v4/workflow/templateresolution"
	"github.com/argoproj/argo-workflows/v4/workflow/validate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// own returns the documents of a file that are Argo's; those of other kinds have their own judges.
func own(text string) string {
	var found []string
	for _, part := range strings.Split(text, "\n---\n") {
		if strings.Contains("\n"+part, "\napiVersion: argoproj.io/") {
			found = append(found, part)
		}
	}
	return strings.Join(found, "\n---\n")
}

func fill(ctx context.Context, path, name string) error {
	var given struct {
		Parameters map[string]string
		Global     common.Parameters
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		return err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	templates, err := common.SplitWorkflowTemplateYAMLFile(ctx, []byte(own(string(body))), true)
	if err != nil {
		return err
	}
	arguments := &v1alpha1.Arguments{}
	for name, value := range given.Parameters {
		arguments.Parameters = append(arguments.Parameters, v1alpha1.Parameter{Name: name, Value: v1alpha1.AnyStringPtr(value)})
	}
	template := templates[0].GetTemplateByName(name)
	if template == nil {
		return fmt.Errorf("there is no template %s", name)
	}
	filled, err := common.ProcessArgs(ctx, template, arguments, given.Global, common.Parameters{}, false, "", nil)
	if err != nil {
		return err
	}
	fmt.Print(filled.Inputs.Artifacts[0].Raw.Data)
	return nil
}

func main() {
	log := logging.NewSlogLoggerCustom(logging.Error, logging.Text, os.Stderr)
	ctx := logging.WithLogger(context.Background(), log)
	if len(os.Args) == 4 && os.Args[1] == "-fill" {
		if err := fill(ctx, os.Args[2], os.Args[3]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	client := fake.NewSimpleClientset().ArgoprojV1alpha1()
	status, found := 0, map[string][]metav1.Object{}
	fail := func(path string, err error) {
		fmt.Printf("%s: %v\n", path, err)
		status = 1
	}
	for _, path := range os.Args[1:] {
		body, err := os.ReadFile(path)
		if err != nil {
			fail(path, err)
			continue
		}
		for _, part := range common.ParseObjects(ctx, []byte(own(string(body))), true) {
			if part.Err != nil {
				fail(path, part.Err)
			} else if part.Object != nil {
				found[path] = append(found[path], part.Object)
			}
		}
	}
	for path, objects := range found {
		for _, object := range objects {
			if template, ok := object.(*v1alpha1.WorkflowTemplate); ok {
				if _, err := client.WorkflowTemplates(template.Namespace).Create(ctx, template, metav1.CreateOptions{}); err != nil {
					fail(path, err)
				}
			}
		}
	}
	for _, path := range os.Args[1:] {
		for _, object := range found[path] {
			templates := templateresolution.WrapWorkflowTemplateInterface(client.WorkflowTemplates(object.GetNamespace()))
			clusterwide := &templateresolution.NullClusterWorkflowTemplateGetter{}
			var err error
			switch item := object.(type) {
			case *v1alpha1.WorkflowTemplate:
				err = validate.ValidateWorkflowTemplate(ctx, templates, clusterwide, item, nil, validate.ValidateOpts{Lint: true})
			case *v1alpha1.CronWorkflow:
				err = validate.ValidateCronWorkflow(ctx, templates, clusterwide, item, nil)
			case *v1alpha1.Workflow:
				err = validate.ValidateWorkflow(ctx, templates, clusterwide, item, nil, validate.ValidateOpts{Submit: true})
			}
			if err != nil {
				fail(path, fmt.Errorf("%s: %w", object.GetName(), err))
			}
		}
	}
	os.Exit(status)
}
