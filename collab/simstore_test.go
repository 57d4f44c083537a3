package collab

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/weft-collab/weft/collab/protocol"
	"github.com/weft-collab/weft/ot"
)

// simStore is the nodes' store. Between any two of its calls another node's write may
// come, or the log be folded.
type simStore struct {
	*memStore
	w *world
}

func (s *simStore) Create(ctx context.Context, doc string, typ ot.Type, ops []Operation) (Meta, error) {
	meta, err := s.memStore.Create(ctx, doc, typ, ops)
	if err == nil && s.w.gone {
		s.w.fail("a document is made under the id of one that was deleted")
	}
	if err == nil {
		s.w.referee.born(typ)
	}
	return meta, err
}

func (s *simStore) Append(ctx context.Context, doc string, head int64, ops []Operation) error {
	err := s.memStore.Append(ctx, doc, head, ops)
	if err == nil && s.w.gone {
		s.w.fail("operations are stored after the document was deleted")
	}
	if err == nil {
		s.w.referee.committed(head, ops)
	}
	return err
}

func (s *simStore) PutSnapshot(ctx context.Context, doc string, snap Snapshot) error {
	r := s.w.referee
	if snap.Version < r.head() {
		s.w.count("snapshot raced an append")
	}
	if snap.Version > r.head() || !bytes.Equal(snap.Content, r.json(snap.Version)) {
		s.w.fail("the snapshot of version %d is %s, the log makes %s", snap.Version, snap.Content, r.json(min(snap.Version, r.head())))
	}
	return s.memStore.PutSnapshot(ctx, doc, snap)
}

func (s *simStore) Log(ctx context.Context, doc string, from int64, limit, maxBytes int) ([]Operation, error) {
	s.meanwhile()
	maxBytes = s.weighed(maxBytes)
	ops, err := s.memStore.Log(ctx, doc, from, limit, maxBytes)
	s.cut(doc, from, ops, limit, maxBytes)
	return ops, err
}

func (s *simStore) Meta(ctx context.Context, doc string) (Meta, error) {
	s.meanwhile()
	return s.memStore.Meta(ctx, doc)
}

func (s *simStore) Client(ctx context.Context, doc, client string) (ClientRow, error) {
	s.meanwhile()
	return s.memStore.Client(ctx, doc, client)
}

func (s *simStore) Operation(ctx context.Context, doc, client string, seq int64) (int64, error) {
	s.meanwhile()
	return s.memStore.Operation(ctx, doc, client, seq)
}

func (s *simStore) Snapshot(ctx context.Context, doc string, at int64) (Snapshot, error) {
	s.meanwhile()
	return s.memStore.Snapshot(ctx, doc, at)
}

func (s *simStore) Heads(ctx context.Context, docs []string) (map[string]Head, error) {
	s.meanwhile()
	return s.memStore.Heads(ctx, docs)
}

// meanwhile is what others do to the store between two calls of one reader.
func (s *simStore) meanwhile() {
	w := s.w
	if w.due != nil && !w.gone && w.fault(1, 10) {
		w.due()
		if w.gone {
			w.count("deleted between two calls of a reader")
		}
		return
	}
	if !w.fault(1, 40) {
		return
	}
	if w.one(6) && s.fold(simDoc) {
		w.count("log compacted between two calls")
		return
	}
	for _, n := range w.nodes {
		for _, l := range n.loops() {
			for i, c := range l.asked {
				if _, ok := c.e.(effAppend); ok && !w.now.Before(c.from) && w.one(2) {
					w.count("an append between two calls of a reader")
					l.asked = slices.Delete(l.asked, i, i+1)
					l.done = append(l.done, l.ask(c.e))
					return
				}
			}
		}
	}
}

// clone is a backup of a document as it is now.
func (d *memDoc) clone() *memDoc {
	return &memDoc{
		meta: d.meta, folded: d.folded, ops: slices.Clone(d.ops), clients: maps.Clone(d.clients), snaps: slices.Clone(d.snaps),
	}
}

// origin is what made a version.
type simOrigin struct {
	client string
	seq    int64
}

type simAck struct {
	v     int64
	delta string
}

// referee keeps all that was ever committed, also what the store has folded, with the
// content of each version, and what clients were shown of it.
type referee struct {
	w        *world
	log      []Operation
	contents []*ot.Document // by version
	cached   map[int64][]byte
	seqs     map[string][]int64 // the versions that a client's operations made
	acks     map[simOrigin]simAck
	said     map[int64]Operation // version -> operation as any client saw it
	floor    int64               // no read that begins now may be older
	former   []lineage
	fates    map[rune]fate
}

// A lineage is what a restored backup did not have.
type lineage struct {
	base int64
	ops  []Operation
	same int // so many of them came again, exactly
}

// A fate is how often a mark may stand in the content, where that is not once.
type fate struct {
	least, most int
	why         string
}

func newReferee(w *world) *referee {
	return &referee{
		w: w, cached: map[int64][]byte{}, seqs: map[string][]int64{}, acks: map[simOrigin]simAck{}, said: map[int64]Operation{}, fates: map[rune]fate{},
	}
}

func (r *referee) head() int64 { return int64(len(r.log)) }

func (r *referee) born(typ ot.Type) { r.contents = []*ot.Document{ot.NewDocument(typ)} }

func (r *referee) committed(head int64, ops []Operation) {
	if head != r.head() {
		r.w.fail("the store took operations after %d, the log ends at %d", head, r.head())
		return
	}
	for _, op := range ops {
		content := r.contents[len(r.log)].Clone()
		delta, err := r.w.deltas.of(op.Delta)
		if err == nil {
			err = content.Apply(delta)
		}
		if err != nil {
			r.w.fail("stored operation %s/%d does not apply at version %d: %v", op.Client, op.Seq, len(r.log), err)
			return
		}
		if user := r.w.users[op.Client]; op.User != user {
			r.w.fail("%s/%d is stored as of the user %q, and is of %q", op.Client, op.Seq, op.User, user)
		}
		if before := r.seqs[op.Client]; int64(len(before))+1 != op.Seq {
			r.w.fail("%s/%d is stored after seq %d", op.Client, op.Seq, len(before))
		}
		r.log = append(r.log, op)
		r.contents = append(r.contents, content)
		r.seqs[op.Client] = append(r.seqs[op.Client], r.head())
		if r.w.tell != nil {
			r.w.trace("  stored %d: %s/%d %s", r.head(), op.Client, op.Seq, op.Delta)
		}
		r.crossed(op)
	}
}

// crossed notes where a restored document takes, at the same version, the same operation as
// before after others: hello's last does not tell that one apart, and who has it is not judged.
func (r *referee) crossed(op Operation) {
	for i := range r.former {
		f := &r.former[i]
		at := int(r.head() - f.base - 1)
		if at >= len(f.ops) || f.ops[at].Client != op.Client || f.ops[at].Seq != op.Seq {
			continue
		}
		if f.same == at && bytes.Equal(f.ops[at].Delta, op.Delta) {
			f.same++
			continue
		}
		for _, c := range r.w.clients {
			for _, s := range []simState{c.simState, c.saved} {
				if s.v == r.head() && s.epoch < r.w.epoch && s.last != nil && s.last.Client == op.Client && s.last.Seq == op.Seq {
					r.w.count("not judged: lineages that last does not tell apart")
					r.w.moot = true
				}
			}
		}
	}
}

// restored forgets what a backup does not have.
func (r *referee) restored(to int64) {
	r.former = append(r.former, lineage{base: to, ops: slices.Clone(r.log[to:])})
	held := map[rune]bool{}
	for _, c := range r.w.clients {
		for _, m := range c.unsent() {
			held[m] = true
		}
		for _, g := range c.ghosts {
			for _, m := range g.marks {
				r.allow(m, 1, 2, "there twice, and taking one back is not in the backup")
			}
		}
	}
	for v := to + 1; v <= r.head(); v++ {
		op := r.log[v-1]
		delta, _ := r.w.deltas.of(op.Delta)
		for _, m := range marksOf(delta) {
			if !held[m] {
				r.allow(m, 0, 1, "acknowledged, and not in the backup")
			}
		}
		r.seqs[op.Client] = slices.DeleteFunc(r.seqs[op.Client], func(v int64) bool { return v > to })
		delete(r.acks, simOrigin{op.Client, op.Seq})
		delete(r.said, v)
		delete(r.cached, v)
	}
	r.log, r.contents, r.floor = r.log[:to:to], r.contents[:to+1:to+1], min(r.floor, to)
}

// left reports whether a backup that was restored since an epoch lacks version v.
func (r *referee) left(epoch int, v int64) bool {
	return slices.ContainsFunc(r.former[epoch:], func(f lineage) bool { return f.base < v })
}

// json is the content of a version in normal form.
func (r *referee) json(v int64) []byte {
	if r.cached[v] == nil {
		r.cached[v] = r.contents[v].AppendJSON(nil)
	}
	return r.cached[v]
}

// seqAt is a client's last seq among the first v operations.
func (r *referee) seqAt(client string, v int64) int64 {
	n := int64(0)
	for _, at := range r.seqs[client] {
		if at <= v {
			n++
		}
	}
	return n
}

// seen notes that a client was shown an operation at a version.
func (r *referee) seen(c *simClient, v int64, op protocol.Committed) {
	shown := Operation{Client: op.Client, Seq: op.Seq, User: op.User, Delta: op.Delta}
	if before, ok := r.said[v]; ok && !same(before, shown) {
		r.w.fail("%s was shown %s at version %d, another one %s", c.name, told(shown), v, told(before))
	}
	r.said[v] = shown
	r.floor = max(r.floor, v)
	if v > r.head() {
		r.w.fail("%s was shown %s at version %d, which is not stored", c.name, told(shown), v)
	}
}

func same(a, b Operation) bool {
	return a.Seq == b.Seq && a.Client == b.Client && a.User == b.User && bytes.Equal(a.Delta, b.Delta)
}

func told(op Operation) string {
	return fmt.Sprintf("%s/%d of %q %s", op.Client, op.Seq, op.User, op.Delta)
}

// again allows a mark to stand once more than before.
func (r *referee) again(m rune, least int, why string) {
	most := 1
	if f, ok := r.fates[m]; ok {
		most = f.most
	}
	r.allow(m, least, most+1, why)
}

func (r *referee) allow(m rune, least, most int, why string) {
	f, ok := r.fates[m]
	if !ok {
		f = fate{least, most, why}
	}
	f.least, f.most = min(f.least, least), max(f.most, most)
	r.fates[m] = f
	r.w.trace("  mark %x may stand %d to %d times: %s", m, f.least, f.most, why)
}
