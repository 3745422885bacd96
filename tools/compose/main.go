// Read compose.yaml files as `docker compose config` does with all profiles, and print each as JSON: references that lead
// nowhere, wrong units, cycles and unknown keys are errors.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
)

// raw reads lines NAME=VALUE and expands nothing; Docker Compose registers the format, not its library.
func raw(in io.Reader, _ string, found map[string]string, _ func(key string) (string, bool)) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			return fmt.Errorf("no value: %s", name)
		}
		found[name] = value
	}
	return lines.Err()
}

func main() {
	dotenv.RegisterFormat("raw", raw)
	status := 0
	for _, path := range os.Args[1:] {
		if err := show(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			status = 1
		}
	}
	os.Exit(status)
}

func show(path string) error {
	everything := cli.WithProfiles([]string{"*"})
	options, err := cli.NewProjectOptions([]string{path}, cli.WithDotEnv, cli.WithResolvedPaths(true), everything)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(project)
}
