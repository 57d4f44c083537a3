package collab

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var plant = flag.Bool("mutants", false, "plant each bug of mutants_test.go, and demand that the simulation finds it")

// A mutant is a bug to be planted: in file, every old becomes new.
type mutant struct{ name, file, old, new string }

var mutants = []mutant{
	{"published before it is stored", "commit.go", "	d.do(effAppend{d.head(), ops})", `	var wires [][]byte
	for i, p := range d.pending[:n] {
		wires = append(wires, loggedOf(ops[i], p.last).wire)
	}
	d.do(effPublish{protocol.AppendOps(nil, d.head(), wires...)})
	d.do(effAppend{d.head(), ops})`},
	{"what is stored is taken again", "submit.go", "d.considered(s) // stored: the session's stream has it, or will", "d.rebase(c, s)"},
	{"a client's row is not learned on another node", "greet.go", "row := d.learn(s.client, ev.row); row.User", "row := ev.row; row.User"},
	{"an operation that came by the log stays pending", "commit.go", "case p.client == op.client && p.seq == op.seq:", "case p.client == op.client && p.seq < op.seq:"},
	{"the wrong side of the tie among what is pending", "submit.go", "delta = p.last.Transform(delta, true)", "delta = p.last.Transform(delta, false)"},
	{"the wrong side of the tie with the log", "submit.go", "op.delta.Transform(c.rebased, true)", "op.delta.Transform(c.rebased, false)"},
	{"a gap of the bus is ignored", "node.go", `	if m.V > d.head() {
		d.sync()
		return
	}
	var ops []logged
	for _, op := range m.Ops[d.head()-m.V:] {`, `	var ops []logged
	for _, op := range m.Ops[max(0, d.head()-m.V):] {`},
	{"what the bus repeats is applied again", "node.go", `	if to <= d.head() {
		return
	}
	if m.V > d.head() {
		d.sync()
		return
	}
	var ops []logged
	for _, op := range m.Ops[d.head()-m.V:] {`, `	if to < d.head() {
		return
	}
	if m.V > d.head() {
		d.sync()
		return
	}
	var ops []logged
	for _, op := range m.Ops {`},
	{"> became >= at the version of a hello", "greet.go", "case *h.V > d.head():", "case *h.V >= d.head():"},
	{"<= became < at the version of a client's row", "greet.go", "if row.Version <= v {", "if row.Version < v {"},
	{"a window is never opened again", "session.go", "	if d.phase == open && s.joined {\n		d.feed(s, nil)\n	}", ""},
	{"a stored operation does not move its client's row", "commit.go", "	d.clients[op.client] = ClientRow{User: op.user, Seq: op.seq, Version: d.head()}\n", ""},
	{"a lost compare and swap is tried again without the log", "commit.go", "	d.mustSync = true\n	if errors.Is(err, ErrConflict) {", "	if errors.Is(err, ErrConflict) {"},
	{"an unknown outcome is taken for a commit", "commit.go", "	case err == nil:\n		d.answered(true)\n		d.committed()", "	case !isVerdict(err):\n		d.answered(true)\n		d.committed()"},
	{"a session that leaves keeps others from their welcome", "session.go", "	d.read(s, s.unread)\n", ""},
	{"a snapshot holds what is not stored yet", "commit.go", "d.do(effSnapshot{d.head(), d.content.Clone()})", "d.do(effSnapshot{d.head(), d.tip.Clone()})"},
	{"another lineage is not noticed", "greet.go", "v > 0 && (last.Client != made.client || last.Seq != made.seq)", "v > 0 && last.Client != made.client && last.Seq != made.seq"},
	{"a reading does not ask the store", "document.go", "	case evRead:\n		d.await(ev)", "	case evRead:\n		d.judged(ev)"},
	{"an expired token still enters a batch", "commit.go", "case !d.now.Before(p.expires):", "case !d.now.Before(p.expires.Add(30 * time.Second)):"},
	{"a lowered role still enters a batch", "commit.go", "case p.role < Write:", "case p.role < Read:"},
	{"a node that is behind welcomes", "greet.go", "	if ev.head.Version > d.head() {\n		d.await(ev)\n		return\n	}\n", ""},
	{"what is pending does not follow the batch", "commit.go", "		p.atHead = p.behind\n	}\n	if len", "		p.behind = p.atHead\n	}\n	if len"},
	{"what is pending does not follow the log", "commit.go", "p.atHead = op.delta.Transform(p.atHead, true)", "_ = op"},
	{"a session that left is not forgotten", "session.go", "	s.ended = true\n	d.forget(s)\n}\n\nfunc (d *document) forget", "	s.ended = true\n}\n\nfunc (d *document) forget"},
	{"no snapshot when a document leaves memory", "timer.go", "if d.phase == open && d.head() > d.snapshotted {", "if d.phase == open && d.head() > d.snapshotted+1 {"},
	{"a part of the log that this node does not have yet is fed", "feed.go", "ops = ops[:int64(len(ops))-over]", "_ = over"},
	{"the creation on another node is not seen", "document.go", "case !creates && !certain:", "case !creates && !certain && d.draining:"},
	{"the row of a client is a version low when a document is opened", "document.go", "Version: d.tail.base + int64(i) + 1}", "Version: d.tail.base + int64(i)}"},
	{"a comparison of heads is ignored", "node.go", "	if h.Version > d.head() && d.work != appending {\n		d.sync()\n	}", ""},
	{"the timer forgets when tokens run out", "timer.go", "		want(s.ident.Expires)\n", ""},
	{"the timer forgets readers that have stopped", "timer.go", "			want(s.shut.Add(d.rules.slowAfter))", "			_ = s"},
	{"sessions are announced once and never again", "timer.go", "	if !d.now.Before(d.announce) {", "	if d.now.Sub(d.announce) < d.rules.announceEvery/2 && !d.now.Before(d.announce) {\n		d.announce = d.now.Add(24 * time.Hour)"},
	{"a call is not answered when the log has its operation", "commit.go", `			for _, c := range p.calls {
				d.answer(c, d.head(), nil)
			}
		default`, "		default"},
	{"what the bus brings has no user", "node.go", "User: op.User, Delta: op.Delta", "Delta: op.Delta"},
	{"a full part of the log is taken for its end", "commit.go", "if len(ops) >= d.rules.tailOps ||", "if len(ops) > d.rules.tailOps ||"},
	{"a batch is answered with one version", "commit.go", `			d.answer(c, d.head(), nil)
		}
	}
	for _, p := range d.pending {
		p.atHead`, `			d.answer(c, from+1, nil)
		}
	}
	for _, p := range d.pending {
		p.atHead`},
	{"a newer token does not count for what is pending", "session.go", "		if p.s == s {\n", "		if p.s == nil {\n"},
	{"a welcome names the operation that its client knows", "greet.go", "		last = op\n", ""},
	{"a client's row is read after the head", "loop.go", `		row, err := store.Client(ctx, id, e.s.client)
		if err != nil {
			return evGreeted{s: e.s, err: err}
		}
		head, err := headOf(ctx, store, id)
`, `		head, err := headOf(ctx, store, id)
		if err != nil {
			return evGreeted{s: e.s, err: err}
		}
		row, err := store.Client(ctx, id, e.s.client)
`},
	{"a welcome counts the operation that follows it", "greet.go", "	return row.Seq - 1\n", "	return row.Seq\n"},
	{"a welcome tells when the token expires in seconds", "session.go", "Sub(d.now).Milliseconds())", "Sub(d.now).Milliseconds()/1000)"},
	{"a cursor goes behind what others insert", "presence.go", "others := op.user != p.user.ID", "others := op.user == p.user.ID"},
	{"a cursor of an older version is taken for one of the head", "presence.go", "	p.cursor, p.v = m.Cursor, m.V\n", "	p.cursor, p.v = m.Cursor, d.head()\n"},
	{"what was read to rebase an operation counts for more", "submit.go", "	c.at += int64(len(ops))\n", "	c.at = d.head()\n"},
	{"an operation that waited is rebased again over what it was", "submit.go", "c.begun, c.rebased, c.at = true, c.op.Delta, c.op.V\n", "c.begun, c.rebased, c.at = c.synced, c.op.Delta, c.op.V\n"},
	{"calls that are pending are not answered when a document ends", "document.go", `			d.answer(c, 0, &why)
		}
	}
	events`, `			_ = c
		}
	}
	events`},
	{"an operation is rebased over more than the node has", "submit.go", "	ops = ops[:min(int64(len(ops)), d.head()-c.at)]\n", "	_ = ops\n"},
	{"a call that reads the log is not answered when a document ends", "document.go", "if p := ev.purpose; p.kind == toRebase && p.s == nil {", "if p := ev.purpose; p.kind == toSync && p.s == nil && p.call != nil {"},
	{"a call is answered by what came after it", "submit.go", "		case c.op.Seq == ev.row.Seq: // the log has brought others of the client's since\n			d.answer(c, ev.row.Version, nil)\n", ""},
	{"a deletion is not published to other nodes", "call.go", "	h.bus.Publish(doc, deletedMessage())\n", ""},
	{"word of a deletion on another node is ignored", "node.go", "	case \"deleted\":\n		d.sync()\n", "	case \"deleted\":\n"},
	{"a node that deletes a document goes on serving it", "call.go", "l.headSeen(Head{Deleted: true})", "_ = l"},
	{"a comparison of heads does not see a deletion", "node.go", `	if h.Deleted {
		d.finish(protocol.Error{Code: protocol.Deleted, Msg: "the document was deleted"})
		return
	}
`, ""},
	{"what is appended to a deleted document counts as stored", "commit.go", "	case err == nil:\n		d.answered(true)\n		d.committed()", "	case err == nil, errors.Is(err, ErrDeleted):\n		d.answered(true)\n		d.committed()"},
	{"who is greeted after a deletion is told that the store is away", "greet.go", "	case errors.Is(ev.err, ErrDeleted):", "	case errors.Is(ev.err, ErrConflict):"},
	{"the log of a deleted document is tried again", "commit.go", "if errors.Is(ev.err, ErrDeleted) || errors.Is(ev.err, ErrNotFound) {", "if errors.Is(ev.err, ErrNotFound) {"},
	{"a submission to a deleted document is told that the store is away", "submit.go", "if errors.Is(ev.err, ErrDeleted) {", "if errors.Is(ev.err, ErrConflict) {"},
	{"who opens a deleted document is told that the store is away", "document.go", "	case errors.Is(ev.err, ErrDeleted):", "	case errors.Is(ev.err, ErrConflict):"},
	{"who waits for a welcome is not told of a deletion", "document.go", `	for _, s := range d.everyone() {
		d.turnAway(s, why)
	}
`, `	for _, s := range d.everyone() {
		if s.joined {
			d.turnAway(s, why)
		}
	}
`},
	{"a call that waits for the log is not answered when a document ends", "document.go", "slices.Concat(d.stalled, d.judging, d.waiting)", "slices.Concat(d.stalled, d.judging)"},
	{"a finished document stays in memory", "timer.go", "if d.draining || d.phase != open {", "if d.draining {"},
	{"who may write deletes", "call.go", "	if id.Role(doc) < Manage {", "	if id.Role(doc) < Write {"},
	{"a deleted document was never there", "call.go", "return refusal(protocol.Error{Code: protocol.Deleted,", "return refusal(protocol.Error{Code: protocol.NotFound,"},
	{"the store takes operations after a deletion", "memstore_test.go", "		return err\n	}\n	return d.append(head, ops)", "		d = m.docs[doc]\n	}\n	return d.append(head, ops)"},
	{"a purge leaves the document to be read", "memstore_test.go", "	d.deleted = true\n	if purge {", "	d.deleted = !purge\n	if false {"},
	{"the log of a deleted document has no more to tell", "memstore_test.go", "		return nil, err\n	}\n	if from < d.folded {", "		return nil, nil\n	}\n	if from < d.folded {"},
	{"a document is made where one was deleted", "memstore_test.go", "	case ErrDeleted:\n		return Meta{}, err\n", ""},
	{"a part of the log that its bytes cut short is taken for its end", "commit.go", " || bytesOf(ops) >= d.rules.frameBytes {", " {"},
	{"a crowded door is never opened again", "document.go", "		d.letIn()\n", ""},
	{"a crowded door is not looked at when other documents are read", "greet.go", "		d.wake(d.now.Add(knockEvery))\n", ""},
	{"a welcome that stops early names the head", "greet.go", "	w.V = v\n	w.Seq", "	w.V = d.head()\n	w.Seq"},
	{"a welcome that stops early knows what follows", "greet.go", "d.seqAt(s.client, v, ops", "d.seqAt(s.client, d.head(), ops"},
	{"an old operation does not give its turn back", "submit.go", "	d.readingOld--\n", ""},
	{"an old operation that waits is forgotten", "submit.go", "	defer d.readOld()\n", ""},
	{"a frame holds one operation more than its bytes allow", "feed.go", "bytes+len(op.wire) > most", "bytes > most"},
	{"a frame takes no operation that is larger than its bytes", "feed.go", "if i > 0 && bytes+len(op.wire) > most", "if i >= 0 && bytes+len(op.wire) > most"},
	{"the tail counts the bytes of what it forgot", "tail.go", "		t.bytes -= len(op.wire)\n", "		_ = op\n"},
	{"content is rebuilt from a part of the log that was cut short", "loop.go", "		at += int64(len(ops))\n", "		at = v\n"},
	{"what is held for a welcome that is read is not given back", "greet.go", "	s.reading = false\n	d.read(s, s.unread)\n", "	s.reading = false\n"},
}

var withinSeeds = regexp.MustCompile(`the first failure came within (\d+) simulations`)

// TestPlantedBugsAreFound shows that the simulation can fail: each bug is planted in turn,
// and must be found within a thousand seeds. A bug whose place is no longer found fails.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			source, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(source), m.old) {
				t.Fatalf("%s no longer holds what the bug replaces: %s", m.file, m.old)
			}
			if *plant {
				m.find(t, strings.ReplaceAll(string(source), m.old, m.new))
			}
		})
	}
}

func (m mutant) find(t *testing.T, source string) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	planted, overlay := filepath.Join(t.TempDir(), m.file), filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(planted, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, m.file): planted}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "NothingIsLost", "-sim.seeds", "1000", "-v", ".")
	out, err := run.CombinedOutput()
	within := withinSeeds.FindSubmatch(out)
	switch {
	case err == nil:
		t.Errorf("not found in 1000 simulations")
	case within == nil:
		t.Errorf("the simulation did not run: %s", out[:min(len(out), 2000)])
	default:
		_, how, _ := strings.Cut(string(out), ": seed ")
		how, _, _ = strings.Cut(how, "\n")
		t.Logf("found within %s simulations: %s (%.160s)", within[1], m.name, how)
	}
}
