package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMetricsCountWhatANodeDoes(t *testing.T) {
	s := startServer(t, nil)
	good := token(t, "ada", time.Hour, "*=write")
	ws, _ := s.open("one", good, newClient())
	ws.send(`{"t":"op","v":0,"seq":1,"d":[{"insert":"x"}]}`)
	ws.await("ops")
	response, err := http.Get(s.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"weft_documents 1", "weft_sessions 1", "weft_operations_total 1", "weft_batches_total 1", "weft_store_failures_total 0"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("%s is not told:\n%s", line, text)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "go_memstats_heap_alloc_bytes"} {
		if !strings.Contains(string(text), "\n"+name+" ") {
			t.Errorf("%s is not told", name)
		}
	}
}
