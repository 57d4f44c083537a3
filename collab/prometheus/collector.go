// Package prometheus tells a node's counts to Prometheus.
package prometheus

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weft-collab/weft/collab"
)

// measure is one figure of collab.Stats.
type measure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(collab.Stats) int64
}

func gauge(name, help string, of func(collab.Stats) int64) measure {
	return measure{prometheus.NewDesc("weft_"+name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(collab.Stats) int64) measure {
	return measure{prometheus.NewDesc("weft_"+name, help, nil, nil), prometheus.CounterValue, of}
}

var measures = []measure{
	gauge("documents", "Documents in memory.", func(s collab.Stats) int64 { return s.Documents }),
	gauge("sessions", "Sessions, each one connection's part in a document.", func(s collab.Stats) int64 { return s.Sessions }),
	counter("operations_total", "Operations stored.", func(s collab.Stats) int64 { return s.Operations }),
	counter("batches_total", "Batches of operations stored, each in one transaction.", func(s collab.Stats) int64 { return s.Batches }),
	counter("conflicts_total", "Batches that another node was faster than; they are tried again.", func(s collab.Stats) int64 { return s.Conflicts }),
	counter("store_failures_total", "Calls of the store that failed, or came to no certain end.", func(s collab.Stats) int64 { return s.Failures }),
	counter("snapshots_total", "Snapshots written.", func(s collab.Stats) int64 { return s.Snapshots }),
	counter("sessions_ended_total", "Sessions ended with an error, for want of rights, time or a store.", func(s collab.Stats) int64 { return s.Cut }),
	counter("warnings_total", "Warnings of documents in the log; what was given up is among them.", func(s collab.Stats) int64 { return s.Warnings }),
}

// collector asks for the counts when it is asked.
type collector func() collab.Stats

func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range measures {
		to <- m.desc
	}
}

func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c()
	for _, m := range measures {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.of(s)))
	}
}

// Handler serves the counts of a hub, and those of the Go runtime and the process,
// in Prometheus's text format.
func Handler(stats func() collab.Stats) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector(stats), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
