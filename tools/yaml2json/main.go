// Command yaml2json shows what the Go programs of a cluster read: the YAML
// stream on standard input becomes one JSON document per line, split as kubectl
// splits it and parsed by the library that helm, kubectl and Flux share.
//
// With -indent it writes each JSON document of standard input the way Go's
// json.MarshalIndent does, the results separated by a NUL byte.
//
// With -quantity each line of standard input is a JSON string, and becomes a
// line with the canonical form that the API server stores for it, or `null`
// where it refuses it as a quantity.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
	stream "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	indent := flag.Bool("indent", false, "read JSON, write each document with json.MarshalIndent")
	quantity := flag.Bool("quantity", false, "read JSON strings, write each as a canonical quantity")
	flag.Parse()
	convert := yamlToJSONLines
	if *indent {
		convert = indentJSON
	}
	if *quantity {
		convert = quantities
	}
	out := bufio.NewWriter(os.Stdout)
	err := errors.Join(convert(bufio.NewReader(os.Stdin), out), out.Flush())
	if err != nil {
		fmt.Fprintln(os.Stderr, "yaml2json:", err)
		os.Exit(1)
	}
}

// yamlToJSONLines writes every document, `null` for an empty one; a duplicate key is an error.
func yamlToJSONLines(in *bufio.Reader, out io.Writer) error {
	documents := stream.NewYAMLReader(in)
	for number := 1; ; number++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", number, err)
		}
		line, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return fmt.Errorf("document %d: %w", number, err)
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
	}
}

// indentJSON decodes numbers as float64, which is how helm holds the values of a chart.
func indentJSON(in *bufio.Reader, out io.Writer) error {
	documents := json.NewDecoder(in)
	for number := 1; ; number++ {
		var value any
		err := documents.Decode(&value)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", number, err)
		}
		text, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return fmt.Errorf("document %d: %w", number, err)
		}
		if number > 1 {
			text = append([]byte{0}, text...)
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
}

// quantities writes the canonical form of each string, `null` for what is no quantity.
func quantities(in *bufio.Reader, out io.Writer) error {
	strings := json.NewDecoder(in)
	for {
		var text string
		err := strings.Decode(&text)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line := []byte("null")
		if found, err := resource.ParseQuantity(text); err == nil {
			if line, err = json.Marshal(found.String()); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
	}
}
