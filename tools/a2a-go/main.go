// Uses an agent at a URL as the official client for Go does, in version 0.3; prints what it got as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/a2aproject/a2a-go/a2a"
	"github.com/a2aproject/a2a-go/a2aclient"
	"github.com/a2aproject/a2a-go/a2aclient/agentcard"
)

type signed struct{ token string }

// RoundTrip signs each request in.
func (s signed) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+s.token)
	return http.DefaultTransport.RoundTrip(request)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func message(text, id string, task a2a.TaskID) *a2a.MessageSendParams {
	said := a2a.NewMessage(a2a.MessageRoleUser, a2a.TextPart{Text: text})
	said.ID, said.TaskID = id, task
	return &a2a.MessageSendParams{Message: said}
}

func text(parts a2a.ContentParts) string {
	whole := ""
	for _, part := range parts {
		if one, ok := part.(a2a.TextPart); ok {
			whole += one.Text
		}
	}
	return whole
}

func main() {
	ctx := context.Background()
	card := must(agentcard.DefaultResolver.Resolve(ctx, os.Args[1]))
	web := &http.Client{Transport: signed{os.Args[2]}}
	client := must(a2aclient.NewFromCard(ctx, card, a2aclient.WithJSONRPCTransport(web)))
	sent := func(said, id string, task a2a.TaskID) *a2a.Task {
		return must(client.SendMessage(ctx, message(said, id, task))).(*a2a.Task)
	}
	found := map[string]any{}
	first := sent("hello", "m1", "")
	found["whole"] = text(first.Artifacts[0].Parts)
	found["again"] = sent("hello", "m1", "").ID == first.ID
	told, kinds := "", []string{}
	for event, err := range client.SendStreamingMessage(ctx, message("say 4 words", "m2", "")) {
		switch one := must(event, err).(type) {
		case *a2a.Task:
			kinds = append(kinds, "task")
		case *a2a.TaskArtifactUpdateEvent:
			if !one.Append {
				told = ""
			}
			told += text(one.Artifact.Parts)
		case *a2a.TaskStatusUpdateEvent:
			kinds = append(kinds, string(one.Status.State))
			found["final"] = one.Final
		}
	}
	found["stream"], found["kinds"] = told, kinds
	found["get"] = must(client.GetTask(ctx, &a2a.TaskQueryParams{ID: first.ID})).Status.State
	waiting := sent("call ask {\"q\": \"Which city?\"}", "m3", "")
	found["waits"] = waiting.Status.State
	found["question"] = text(waiting.Status.Message.Parts[:1])
	found["answer"] = text(sent("Oslo", "m4", waiting.ID).Artifacts[0].Parts)
	for event, err := range client.SendStreamingMessage(ctx, message("wait 3600 and go", "m5", "")) {
		if one, ok := must(event, err).(*a2a.Task); ok {
			found["cancelled"] = must(client.CancelTask(ctx, &a2a.TaskIDParams{ID: one.ID})).Status.State
		}
	}
	_, err := client.GetTask(ctx, &a2a.TaskQueryParams{ID: "nobody"})
	found["unknown"] = errors.Is(err, a2a.ErrTaskNotFound)
	_, err = client.SendMessage(ctx, message("x", "m6", first.ID))
	found["ended"] = errors.Is(err, a2a.ErrUnsupportedOperation)
	fmt.Println(string(must(json.Marshal(found))))
}
