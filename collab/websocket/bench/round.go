package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// message is what a client of this measurement looks at.
type message struct {
	T   string            `json:"t"`
	V   int64             `json:"v"`
	Ops []json.RawMessage `json:"ops"`
}

// enter connects and says hello. A small buffer makes a client that stops be felt soon.
func enter(address, name string, small bool) (*websocket.Conn, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"weft.v1"}, NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if tcp, ok := c.(*net.TCPConn); ok && small {
			_ = tcp.SetReadBuffer(4096)
		}
		return c, err
	}}
	c, _, err := dialer.Dial(address, http.Header{"Authorization": {"Bearer " + name}})
	if err != nil {
		return nil, err
	}
	hello := fmt.Sprintf(`{"t":"hello","client":"client-of-%s","type":"text"}`, strings.Repeat(name, 3))
	if err := c.WriteMessage(websocket.TextMessage, []byte(hello)); err != nil {
		return nil, err
	}
	for {
		var m message
		if err := c.ReadJSON(&m); err != nil {
			return nil, err
		}
		if m.T == "welcome" {
			return c, nil
		}
	}
}

// follow reads until version v, and calls reached with each version on its way.
func follow(c *websocket.Conn, v int64, reached func(int64)) error {
	for at := int64(0); at < v; {
		var m message
		if err := c.ReadJSON(&m); err != nil {
			return err
		}
		switch m.T {
		case "ops":
			for range m.Ops {
				at++
				reached(at)
			}
		case "error", "bye":
			return fmt.Errorf("the server says %s at version %d", m.T, at)
		}
	}
	return nil
}

const (
	fill = 60      // operations that shut the window of a reader that has stopped
	size = 100_000 // units of each
)

// measure has one author write and everybody else read, in a document of its own.
func measure(address string, lazy bool) (quantiles, error) {
	author, err := enter(address, "author-of-it", false)
	if err != nil {
		return quantiles{}, err
	}
	defer author.Close()
	if lazy {
		c, err := enter(address, "lazy-one", true)
		if err != nil {
			return quantiles{}, err
		}
		defer c.Close()
	}
	total := int64(fill + *edits)
	sent := make([]time.Time, total+1)
	arrived := make([][]time.Time, *readers)
	var work sync.WaitGroup
	errs := make(chan error, *readers+1)
	reading := *readers
	if lazy {
		reading--
	}
	arrived = arrived[:reading]
	for i := range reading {
		c, err := enter(address, fmt.Sprintf("reader-%d", i), false)
		if err != nil {
			return quantiles{}, err
		}
		defer c.Close()
		arrived[i] = make([]time.Time, total+1)
		work.Go(func() {
			if err := follow(c, total, func(v int64) { arrived[i][v] = time.Now() }); err != nil {
				errs <- err
			}
		})
	}
	back := make(chan int64, total)
	work.Go(func() {
		if err := follow(author, total, func(v int64) { back <- v }); err != nil {
			errs <- err
			close(back)
		}
	})
	send := func(v int64, delta string) error {
		sent[v] = time.Now()
		return author.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"t":"op","v":%d,"seq":%d,"d":%s}`, v-1, v, delta))
	}
	for v := int64(1); v <= total && err == nil; v++ {
		switch {
		case v > fill:
			time.Sleep(pace)
			err = send(v, `[{"insert":"x"}]`)
		case v%2 == 1:
			err = send(v, `[{"insert":"`+strings.Repeat("y", size)+`"}]`)
		default:
			err = send(v, fmt.Sprintf(`[{"delete":%d}]`, size))
		}
		<-back
	}
	if err != nil {
		return quantiles{}, err
	}
	work.Wait()
	select {
	case err := <-errs:
		return quantiles{}, err
	default:
	}
	var delays []time.Duration
	for _, times := range arrived {
		for v := fill + 1; v <= int(total); v++ {
			delays = append(delays, times[v].Sub(sent[v]))
		}
	}
	return quantilesOf(delays), nil
}
