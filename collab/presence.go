package collab

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/weft-collab/weft/collab/protocol"
)

// peer is where a session is, here or on another node: its cursor in terms of version v.
type peer struct {
	id     string
	user   protocol.User
	cursor *protocol.Cursor
	state  json.RawMessage
	v      int64
	heard  time.Time // of another node's: when it was last announced
}

func (p *peer) wire() protocol.Peer {
	return protocol.Peer{Session: p.id, User: p.user, Cursor: p.cursor, State: p.state}
}

// carry moves a cursor over the operations between its version and the head. It
// goes behind what its own user inserts at its place and stays before what others
// insert there. One that is too old to carry is dropped.
func (d *document) carry(p *peer) {
	if p.v == d.head() {
		return
	}
	ops, ok := d.tail.since(p.v)
	p.v = d.head()
	if p.cursor == nil {
		return
	}
	if !ok {
		p.cursor = nil
		return
	}
	from, to := p.cursor.Index, p.cursor.Index+p.cursor.Length
	for _, op := range ops {
		others := op.user != p.user.ID
		from = op.delta.TransformPosition(from, others)
		to = op.delta.TransformPosition(to, others)
	}
	p.cursor = d.clamp(from, to)
}

func (d *document) clamp(from, to int) *protocol.Cursor {
	size := d.content.Len()
	from, to = min(from, size), min(to, size)
	return &protocol.Cursor{Index: from, Length: max(0, to-from)}
}

func (d *document) carryAll() {
	for _, s := range d.list {
		if s.peer != nil {
			d.carry(s.peer)
		}
	}
	for _, p := range d.remote {
		d.carry(p)
	}
}

// present takes a session's presence.
func (d *document) present(s *session, m protocol.Presence) {
	if m.V > d.head() {
		return // of a version that is not known: the next one will do
	}
	p := s.peer
	p.cursor, p.v = m.Cursor, m.V
	if m.State != nil {
		p.state = m.State
	}
	if m.Cursor != nil {
		// Bounds first, so that positions stay integers that can be added.
		const most = 1 << 52
		p.cursor = &protocol.Cursor{Index: min(m.Cursor.Index, most), Length: min(m.Cursor.Length, most)}
		if p.v == d.head() {
			p.cursor = d.clamp(p.cursor.Index, p.cursor.Index+p.cursor.Length)
		}
	}
	d.carry(p)
	d.moved[s.id] = true
	d.owe(s.id)
}

// owe notes that everyone else is to be told of a peer.
func (d *document) owe(id string) {
	for _, s := range d.list {
		if s.id != id && s.joined {
			s.owed[id] = struct{}{}
		}
	}
	d.tellSoon()
}

func (d *document) oweAll(s *session) {
	for _, other := range d.list {
		if other.id != s.id && other.peer != nil {
			s.owed[other.id] = struct{}{}
		}
	}
	for id := range d.remote {
		s.owed[id] = struct{}{}
	}
	d.tellSoon()
}

func (d *document) tellSoon() {
	if d.tellAt.IsZero() {
		d.tellAt = d.now.Add(d.rules.tellEvery)
		d.wake(d.tellAt)
	}
}

// peersFor lists everyone but the session itself, at the head.
func (d *document) peersFor(s *session) []protocol.Peer {
	d.carryAll()
	peers := []protocol.Peer{}
	for _, other := range d.list {
		if other.peer != nil && other.id != s.id {
			peers = append(peers, other.peer.wire())
		}
	}
	return append(peers, d.remotePeers()...)
}

func (d *document) remotePeers() []protocol.Peer {
	var peers []protocol.Peer
	for _, id := range sortedKeys(d.remote) {
		peers = append(peers, d.remote[id].wire())
	}
	return peers
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// tellSessions sends presence to the sessions that are at the head; the others get it when they are.
func (d *document) tellSessions() {
	d.tellAt = time.Time{}
	late := false
	for _, s := range d.list {
		if len(s.owed) == 0 {
			continue
		}
		if s.v != d.head() || !s.window() {
			late = true
			continue
		}
		peers := make([]protocol.Peer, 0, len(s.owed))
		for _, id := range sortedKeys(s.owed) {
			peers = append(peers, d.wirePeer(id))
		}
		clear(s.owed)
		d.send(s, protocol.AppendPresence(nil, d.head(), peers))
	}
	if late {
		d.tellSoon()
	}
}

// wirePeer is a peer as it is now, or word that it left.
func (d *document) wirePeer(id string) protocol.Peer {
	if s := d.sessions[id]; s != nil && s.peer != nil {
		return s.peer.wire()
	}
	if p := d.remote[id]; p != nil {
		return p.wire()
	}
	return protocol.Peer{Session: id, Left: true}
}

// tellNodes sends other nodes what has changed among this node's sessions.
func (d *document) tellNodes() {
	if len(d.moved) == 0 && len(d.gone) == 0 {
		return
	}
	var peers []protocol.Peer
	for _, id := range sortedKeys(d.moved) {
		peers = append(peers, d.wirePeer(id))
	}
	for _, id := range sortedKeys(d.gone) {
		peers = append(peers, protocol.Peer{Session: id, Left: true})
	}
	clear(d.moved)
	clear(d.gone)
	d.do(effPublish{protocol.AppendPresence(nil, d.head(), peers)})
}

// heard takes what another node says of its sessions, in terms of version v.
func (d *document) heard(v int64, peers []protocol.Peer) {
	for _, wire := range peers {
		if s := d.sessions[wire.Session]; s != nil {
			continue // our own
		}
		if wire.Left {
			if _, known := d.remote[wire.Session]; known {
				delete(d.remote, wire.Session)
				d.owe(wire.Session)
			}
			continue
		}
		p := &peer{id: wire.Session, user: wire.User, cursor: wire.Cursor, state: wire.State, v: v, heard: d.now}
		if v > d.head() {
			p.cursor, p.v = nil, d.head() // the operations before it have not come yet; it is told again
		}
		d.carry(p)
		if p.cursor != nil {
			p.cursor = d.clamp(p.cursor.Index, p.cursor.Index+p.cursor.Length)
		}
		d.wake(p.heard.Add(d.rules.forgetAfter))
		known := d.remote[wire.Session]
		d.remote[wire.Session] = p
		if known == nil || !samePlace(known, p) {
			d.owe(wire.Session)
		}
	}
}

func samePlace(a, b *peer) bool {
	if (a.cursor == nil) != (b.cursor == nil) || a.cursor != nil && *a.cursor != *b.cursor {
		return false
	}
	return a.user == b.user && string(a.state) == string(b.state)
}

// announceAll tells other nodes every session of this one, so that they keep
// them, and forget those of a node that died.
func (d *document) announceAll() {
	var joined []*session
	for _, s := range d.list {
		if s.peer != nil {
			d.moved[s.id] = true
			joined = append(joined, s)
		}
	}
	if len(joined) > 0 {
		d.do(effPublish{joinMessage(joined...)})
		d.tellSoon()
	}
}

// forgetSilent drops peers that no node has announced for long.
func (d *document) forgetSilent() {
	for _, id := range sortedKeys(d.remote) {
		if d.now.Sub(d.remote[id].heard) >= d.rules.forgetAfter {
			delete(d.remote, id)
			d.owe(id)
		}
	}
}
