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
//
// With -pattern each line is a JSON string, and becomes `true` where RE2 takes
// it as a regular expression, else `false`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"
	stream "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	indent := flag.Bool("indent", false, "read JSON, write each document with json.MarshalIndent")
	quantity := flag.Bool("quantity", false, "read JSON strings, write each as a canonical quantity")
	pattern := flag.Bool("pattern", false, "read JSON strings, write whether each is one of RE2's patterns")
	flag.Parse()
	convert := yamlToJSONLines
	if *indent {
		convert = indentJSON
	}
	if *quantity {
		convert = eachString(canonical)
	}
	if *pattern {
		convert = eachString(isPattern)
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

// eachString decodes JSON strings and writes what becomes of each as a line of JSON.
func eachString(judge func(string) any) func(*bufio.Reader, io.Writer) error {
	return func(in *bufio.Reader, out io.Writer) error {
		words := json.NewDecoder(in)
		lines := json.NewEncoder(out)
		for {
			var text string
			err := words.Decode(&text)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := lines.Encode(judge(text)); err != nil {
				return err
			}
		}
	}
}

// canonical returns what the API server stores for a quantity, nil for what is none.
func canonical(text string) any {
	found, err := resource.ParseQuantity(text)
	if err != nil {
		return nil
	}
	return found.String()
}

// isPattern tells whether RE2, as Go has it, takes a regular expression.
func isPattern(text string) any {
	_, err := regexp.Compile(text)
	return err == nil
}
