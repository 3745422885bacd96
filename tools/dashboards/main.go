// Command dashboards reads dashboards as Grafana's own types do: each file is a
// dashboard in JSON. What the types refuse (an unknown field, a value of another
// type, a missing field, a broken constraint) is written to standard output, one
// line for each file that is at fault, and the exit code is 1.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	// Without them, panels and queries are taken as they are.
	plugins.RegisterDefaultPlugins()
	wrong := false
	for _, file := range os.Args[1:] {
		if complaint := judge(file); complaint != "" {
			fmt.Printf("%s: %s\n", file, strings.Join(strings.Fields(complaint), " "))
			wrong = true
		}
	}
	if wrong {
		os.Exit(1)
	}
}

func judge(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	read := dashboard.Dashboard{}
	if err := read.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err.Error()
	}
	// A value without complaints is an error too, of which the text is empty.
	if err := read.Validate(); err != nil && err.Error() != "" {
		return err.Error()
	}
	return ""
}
